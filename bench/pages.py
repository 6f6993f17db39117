"""What the product adds to Streamlit: its pages beside an empty one, and beside their elements fed from constants."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from bench.measure import Spread, in_turns, ratio, show, show_ratio, show_times
from bench.place import free_port, short_folder
from bench.wire import Visitor, query_of
from services.config import ROOT
from services.database import embedded

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
START_SECONDS = 90
# Click a page's link and wait for its heading; measured in the browser, where nothing polls.
CLICK = """async ([label, heading]) => {
    const links = [...document.querySelectorAll('[data-testid=stSidebarNav] a')];
    const link = links.find(a => a.innerText.trim().endsWith(label));
    const there = () => [...document.querySelectorAll('h1')].some(h =>
        h.innerText.trim() === heading && h.offsetParent !== null && !h.closest('[data-stale=true]'));
    const began = performance.now();
    const seen = new Promise(done => {
        const observer = new MutationObserver(() => {
            if (there()) { observer.disconnect(); done(performance.now() - began); }
        });
        observer.observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
    });
    link.click();
    return await seen;
}"""


def run(full: bool) -> None:
    if CHROMIUM is None:
        print("\nPages: left out, there is no Chromium (set CHROMIUM to its program)")
        return
    with ExitStack() as stack:
        data = stack.enter_context(data_folder())
        app = stack.enter_context(served(data))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        stack.callback(browser.close)
        page, store = enter_demo(browser, app)
        print(f"\nPages: click to heading in Chromium, demo store {store!r}")
        clicks(page, store, rounds=40 if full else 12)
        cookie = "; ".join(f"{c['name']}={c['value']}" for c in page.context.cookies())
        constants = stack.enter_context(served(data, "constants"))
        print("\nPages: the whole script on the websocket, from the request to the last message")
        runs(app, constants, cookie, query_of(label_of(page)), rounds=60 if full else 15)


@contextmanager
def data_folder() -> Iterator[Path]:
    with short_folder() as folder:
        try:
            yield folder / "d"
        finally:
            embedded.stop(folder / "d")


@contextmanager
def served(data: Path, *how: str) -> Iterator[str]:
    """The app's address, once it answers."""
    port = free_port()
    environment = {**os.environ, "CLIPDESK_DATA": str(data), "LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "bench.served", *how, str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://localhost:{port}"
    try:
        wait_for(f"{url}/healthz")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"{url} did not answer within {START_SECONDS} s")


# In the browser --------------------------------------------------------------------------------------------------


def enter_demo(browser: Browser, url: str) -> tuple[Page, str]:
    """Make the demo company, enter it as its admin, choose the first store; returns the page and the store's name."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(f"{url}/start")
    page.get_by_role("button", name="Explore the demo company").click()
    page.locator("li", has_text="Admin").first.get_by_role("button").click(timeout=120_000)
    page.locator(".st-key-profile input").click()
    page.get_by_role("option").nth(1).click()
    page.get_by_role("heading", level=1).filter(has_not_text="All my stores").wait_for()
    idle(page)
    return page, page.get_by_role("heading", level=1).inner_text()


def label_of(page: Page) -> str:
    """The chosen store as the switcher shows it and the address carries it."""
    return str(page.evaluate("new URL(location).searchParams.get('profile')"))


def idle(page: Page) -> None:
    page.locator('[data-testid=stApp][data-test-script-state="notRunning"]').wait_for()
    page.wait_for_function("document.querySelectorAll('[data-stale=true]').length === 0")


def clicks(page: Page, store: str, rounds: int) -> None:
    """Always from Jobs: every page is left and entered under the same conditions."""
    headings = {"Empty": "Empty", "Overview": store, "Voice": "Voice"}
    seconds: dict[str, list[float]] = {label: [] for label in headings}
    for place in range(-2, rounds):
        for label, heading in headings.items():
            click(page, "Jobs", "Jobs")
            took = click(page, label, heading)
            if place >= 0:
                seconds[label].append(took)
    times = {label: Spread(tuple(values)) for label, values in seconds.items()}
    for label, spread in times.items():
        show_times(f"click → heading, {label}", spread)
    for label in ("Overview", "Voice"):
        show_ratio(f"click → heading: {label} ÷ empty page", ratio(times[label], times["Empty"]), "≤ 1.5")


def click(page: Page, label: str, heading: str) -> float:
    milliseconds = float(page.evaluate(CLICK, [label, heading]))
    idle(page)
    return milliseconds / 1e3


# On the wire -----------------------------------------------------------------------------------------------------


def runs(app: str, constants: str, cookie: str, query: str, rounds: int) -> None:
    with ExitStack() as stack:
        visitors = {}
        for name, url in (("product", app), ("constants", constants)):
            visitors[name] = Visitor(url, cookie, query)
            stack.callback(visitors[name].close)
            visitors[name].run("")
        pages = ("overview", "voice", "jobs")
        ways = {(page, name): partial(visitor.run, page) for page in pages for name, visitor in visitors.items()}
        ways["empty", "product"] = partial(visitors["product"].run, "empty")
        counts = {key: way() for key, way in ways.items()}
        times = in_turns(ways, rounds=rounds, calls=3, warm_up=2)
    for (page, name), spread in times.items():
        show_times(f"whole run, {page}, {name} ({counts[page, name]} elements)", spread)
    for page in pages:
        if counts[page, "product"] != counts[page, "constants"]:
            show(f"{page}: elements differ between the two", f"{counts[page, 'product']} {counts[page, 'constants']}")
        share = ratio(times[page, "product"], times[page, "constants"])
        show_ratio(f"whole run: {page} ÷ the same from constants", share, "≤ 1.5")
