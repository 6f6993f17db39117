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
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

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
