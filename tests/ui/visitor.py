"""A browser before the gate: around a stand-in for Streamlit that notes what reached it, or before the real server."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from services.config import ROOT
from services.database import embedded
from ui.gate import Gate, cookie_name
from ui.routes import ROUTES

INSIDE = "Streamlit's answer"
HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
OURS = {"sec-fetch-site": "same-origin"}  # what a browser sends with a form of the page it is on


@dataclass
class Streamlit:
    """Answers everything and remembers it."""

    reached: list[tuple[str, str]] = field(default_factory=list)  # (http or websocket, path)
    headers: dict[str, str] = field(default_factory=dict)  # of its answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append((scope["type"], scope["path"]))
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": INSIDE})
            await send({"type": "websocket.close", "code": 1000})
            return
        await PlainTextResponse(INSIDE, headers=self.headers)(scope, receive, send)


def site(inside: Streamlit, *, with_routes: bool = True) -> Starlette:
    routes = [*(ROUTES if with_routes else []), Mount("/", app=inside)]
    return Starlette(routes=routes, middleware=[Middleware(Gate)])


def browser(
    app: Starlette,
    secret: str | None = None,
    *,
    host: str = "localhost:8501",
    client: str = "127.0.0.1",
    **headers: str,
) -> TestClient:
    """Asks `host` from the network address `client`, holding a session's secret or nothing. Follows no redirects."""
    cookie = {"cookie": f"{cookie_name()}={secret}"} if secret else {}
    kept: dict[str, Any] = {"accept": HTML["accept"], **cookie, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return TestClient(app, base_url=f"http://{host}", client=(client, 50_000), headers=kept, follow_redirects=False)


@contextmanager
def running(server: embedded.Server, database: str, folder: Path, **settings: str) -> Iterator[int]:
    """The real app on a free port, without a worker; ended with SIGTERM. It logs to server.log in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "DATABASE_URL": server.url("clipdesk_app", database), "CLIPDESK_DATA": str(folder),
                   "WORKER_INSIDE": "false", **settings}  # fmt: skip
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        try:
            until(lambda: answers(port) or process.poll() is not None)
            assert process.poll() is None, (folder / "server.log").read_text()
            yield port
        finally:
            process.terminate()
            process.wait(20)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def until(happens: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


class OpenPage:
    """One of Streamlit's pages, open in the browser that holds this session's secret. `query`: what the address asks.

    Runs scripts as a browser lets them run, and takes all that they draw; nothing runs by itself in between.
    """

    SECONDS = 60  # a bound on what hangs

    def __init__(self, url: str, secret: str, query: str = "") -> None:
        self.drawn = ""  # all that the last run drew, as text
        self._query = query
        self._page = ""
        self._pages: dict[str, str] = {}  # a page's hash by its address
        self._widgets: dict[str, str] = {}  # a widget's id by its key
        self._typed: dict[str, str] = {}
        self._socket = connect(
            url.replace("http", "ws", 1) + "/_stcore/stream", max_size=None, subprotocols=[Subprotocol("streamlit")],
            additional_headers={"cookie": f"{cookie_name()}={secret}"},
        )  # fmt: skip
        self._run()

    def go(self, page: str) -> str:
        """Open the page with this address; returns what it drew."""
        self._page = self._pages[page]
        return self._run()

    def type(self, key: str, text: str) -> str:
        self._typed[key] = text
        return self._run()

    def click(self, key: str, **typed: str) -> str:
        """Click the button with this key, once these fields hold these texts."""
        self._typed |= typed
        return self._run(clicked=key)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, clicked: str | None = None) -> str:
        message = BackMsg()
        asked = message.rerun_script
        asked.query_string, asked.page_script_hash = self._query, self._page
        for key, text in self._typed.items():
            asked.widget_states.widgets.add(id=self._widgets[key], string_value=text)
        if clicked:
            asked.widget_states.widgets.add(id=self._widgets[clicked], trigger_value=True)
        self._socket.send(message.SerializeToString())
        self.drawn = "\n".join(self._deltas())
        return self.drawn

    def _deltas(self) -> list[str]:
        """Until the script is through, the runs that it asked for itself included; only the last one's count."""
        shown: list[str] = []
        while True:
            data = self._socket.recv(self.SECONDS)
            message = ForwardMsg.FromString(data if isinstance(data, bytes) else data.encode())
            kind = message.WhichOneof("type")
            if kind == "new_session":
                shown.clear()
            elif kind == "navigation":
                self._pages = {page.url_pathname: page.page_script_hash for page in message.navigation.app_pages}
            elif kind == "delta":
                shown.append(str(message.delta))
                self._note_widget(message.delta.new_element)
            elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return shown

    def _note_widget(self, element: Element) -> None:
        if kind := element.WhichOneof("type"):
            widget = str(getattr(getattr(element, kind), "id", ""))
            self._widgets[widget.rsplit("-", 1)[-1]] = widget
