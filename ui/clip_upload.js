/* The upload area of the Clips page. Each file is a POST of its own, two at a time; they go on while the person looks
   at other pages, and the page is told when one has become a clip. */
(() => {
  "use strict";

  const AT_ONCE = 2;
  const MEGABYTE = 2 ** 20;
  const SHOWN_AFTER_MS = 4000; // how long a finished file stays on the list, and its card may take
  const TRIES = 4;
  const BROKEN = "The connection broke. Retry sends the file again.";

  function create() {
    // {id, file, address, state: waiting | sending | saving | done | failed, share, error, request, line}
    const items = [];
    let area = null;

    function mount(place) {
      if (area?.place === place) return;
      area = { place, ...draw(place) };
      for (const item of items) item.line = null;
      show();
    }

    function draw(place) {
      const input = element("input", { type: "file", multiple: true, accept: place.dataset.accept, id: "clip-files" });
      input.addEventListener("change", () => { add(input.files); input.value = ""; });
      const label = element("label", { htmlFor: "clip-files", className: "clip-drop" },
        element("strong", { textContent: "Choose files" }), element("span", { textContent: " or drop them here" }),
        element("small", { textContent: place.dataset.hint }));
      const box = element("div", { className: "clip-drop-box" }, input, label);
      receiveDrops(box);
      const list = element("ul", { className: "clip-uploads" });
      const news = element("p", { className: "clip-news" });
      news.setAttribute("role", "status");
      place.replaceChildren(box, list, news);
      return { list, news };
    }

    function receiveDrops(box) {
      for (const kind of ["dragenter", "dragover"]) {
        box.addEventListener(kind, (event) => { event.preventDefault(); box.classList.add("over"); });
      }
      for (const kind of ["dragleave", "drop"]) box.addEventListener(kind, () => box.classList.remove("over"));
      box.addEventListener("drop", (event) => { event.preventDefault(); add(event.dataTransfer.files); });
    }

    function add(files) {
      const { address, most } = area.place.dataset;
      for (const file of files) {
        const item = { id: randomId(), file, address, state: "waiting", share: 0 };
        const size = megabytes(file.size);
        if (file.size > most * MEGABYTE) refuse(item, `${size} MB; ${most} MB is the most. Make it smaller.`);
        else if (file.size === 0) refuse(item, "The file is empty.");
        items.push(item);
      }
      next();
    }

    function refuse(item, sentence) {
      Object.assign(item, { state: "failed", error: sentence, hopeless: true });
    }

    function next() {
      const busy = items.filter((item) => item.state === "sending" || item.state === "saving").length;
      items.filter((item) => item.state === "waiting").slice(0, Math.max(0, AT_ONCE - busy)).forEach(send);
      show();
    }

    function send(item) {
      const request = new XMLHttpRequest();
      Object.assign(item, { state: "sending", share: 0, error: "", request });
      request.open("POST", `${item.address}&id=${item.id}`);
      request.setRequestHeader("x-file-name", encodeURIComponent(item.file.name));
      request.setRequestHeader("content-type", "application/octet-stream");
      request.upload.addEventListener("progress", (event) => {
        item.share = event.total ? event.loaded / event.total : 0;
        refresh(item);
      });
      request.upload.addEventListener("load", () => { item.state = "saving"; refresh(item); });
      request.addEventListener("load", () => answered(item, request));
      request.addEventListener("error", () => broken(item));
      request.send(item.file);
    }

    function answered(item, request) {
      if (request.status === 200 || request.status === 201) {
        item.state = "done";
        tell(`${item.file.name} was added.`);
        setTimeout(() => remove(item), SHOWN_AFTER_MS);
        later(() => runPage(item.id, TRIES));
      } else {
        fail(item, sentenceOf(request), request.status === 400 || request.status === 413);
      }
      next();
    }

    async function broken(item) {
      fail(item, BROKEN, false);
      next();
      const answer = await fetch("/uploads/script.js", { method: "GET", cache: "no-store" }).catch(() => null);
      if (answer?.status === 401) {
        fail(item, "Your session has ended. Sign in again in a new tab, then press Retry.", false);
        show();
      }
    }

    function fail(item, sentence, hopeless) {
      Object.assign(item, { state: "failed", error: sentence, hopeless });
      tell(`${item.file.name} was not added: ${sentence}`);
    }

    function retry(item) {
      item.state = "waiting";
      next();
    }

    function cancel(item) {
      item.request?.abort();
      remove(item);
      tell(`${item.file.name} was cancelled.`);
      next();
    }

    function remove(item) {
      const place = items.indexOf(item);
      if (place >= 0) items.splice(place, 1);
      item.line?.row.remove();
    }

    function show() {
      if (!area) return;
      for (const item of items) {
        if (!item.line) area.list.append((item.line = lineOf(item)).row);
        refresh(item);
      }
    }

    function lineOf(item) {
      const name = element("span", { className: "clip-file", textContent: item.file.name });
      const bar = element("progress", { max: 1 });
      bar.setAttribute("aria-label", `Upload of ${item.file.name}`);
      const state = element("span", { className: "clip-state" });
      const again = button("Retry", item, retry);
      const away = button("Cancel", item, cancel);
      return { row: element("li", {}, name, bar, state, again, away), bar, state, again, away };
    }

    function button(label, item, does) {
      const made = element("button", { type: "button", textContent: label });
      made.setAttribute("aria-label", `${label}: ${item.file.name}`);
      made.addEventListener("click", () => does(item));
      return made;
    }

    function refresh(item) {
      if (!item.line) return;
      const { row, bar, state, again, away } = item.line;
      row.dataset.state = item.state;
      if (item.state === "saving") bar.removeAttribute("value");
      else bar.value = item.state === "done" ? 1 : item.share;
      bar.hidden = item.state === "failed";
      state.textContent = wordsOf(item);
      again.hidden = item.state !== "failed" || item.hopeless;
      away.hidden = item.state === "done" || item.state === "saving";
      away.textContent = item.state === "failed" ? "Dismiss" : "Cancel";
      away.setAttribute("aria-label", `${away.textContent}: ${item.file.name}`);
    }

    function wordsOf(item) {
      const size = megabytes(item.file.size);
      const words = {
        waiting: "Waiting", saving: "Saving…", done: "Added", failed: item.error,
        sending: `${Math.floor(item.share * 100)} % of ${size} MB`,
      };
      return words[item.state];
    }

    function tell(sentence) {
      if (area) area.news.textContent = sentence;
    }

    let planned = 0;
    function later(does) {
      clearTimeout(planned);
      planned = setTimeout(does, 300);
    }

    window.addEventListener("beforeunload", (event) => {
      if (items.some((item) => ["waiting", "sending", "saving"].includes(item.state))) event.preventDefault();
    });

    return { mount };
  }

  // A click is lost while the page is connecting anew. A clip that the filters leave out never appears: some tries do.
  function runPage(id, tries) {
    if (!tries || document.querySelector(`.st-key-clip_card_${id}`)) return;
    document.querySelector(".st-key-clips_uploaded button")?.click();
    setTimeout(() => runPage(id, tries - 1), SHOWN_AFTER_MS);
  }

  function element(name, values, ...children) {
    const made = Object.assign(document.createElement(name), values);
    made.append(...children);
    return made;
  }

  function megabytes(size) {
    return (size / MEGABYTE).toFixed(size < 10 * MEGABYTE ? 1 : 0);
  }

  function sentenceOf(request) {
    try {
      return JSON.parse(request.responseText).error || BROKEN;
    } catch {
      return request.status === 401 ? "Your session has ended. Sign in again in a new tab, then press Retry." : BROKEN;
    }
  }

  function randomId() { // crypto.randomUUID is missing on plain http beyond this machine
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  }

  window.clipdeskUploads ??= create();
  for (const place of document.querySelectorAll(".clip-upload")) window.clipdeskUploads.mount(place);
})();
