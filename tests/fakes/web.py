"""A web server in a thread, for services that are played: what it answers is a method, what goes wrong is said."""

import contextlib
import json
import re
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

PIECE = 64 * 1024  # bytes written at once
LOGIN_PAGE = b"<!doctype html><html><head><title>Sign in</title></head><body><form></form></body></html>"


class Request(NamedTuple):
    """A request as it arrived. Header names are in small letters; `query` has the last value of each name."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """An answer. `seconds`: pause before it. `drip`: pause before each of its bytes. `cut`: half of the body comes."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    drip: float = 0.0
    cut: bool = False


HANG_UP = Reply(status=0)  # closes the connection without a byte


def json_reply(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), headers={name.replace("_", "-"): v for name, v in headers.items()})


def redirect(target: str, status: int = 307) -> Reply:
    return Reply(status, b"", "text/plain", {"location": target})


def html(page: bytes = LOGIN_PAGE, status: int = 200) -> Reply:
    return Reply(status, page, "text/html; charset=utf-8")


@dataclass
class _Trouble:
    path: re.Pattern[str]
    reply: Reply
    times: int | None


class Web:
    """The server, running while the `with` block does. `requests` are all that came, in order."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self._troubles: list[_Trouble] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(self, tls)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()

    def misbehave(self, reply: Reply, path: str = ".*", times: int | None = None) -> None:
        """Let requests whose whole path matches meet `reply`, that many times; None = from now on."""
        with self._lock:
            self._troubles.append(_Trouble(re.compile(path), reply, times))

    def behave(self) -> None:
        """Forget every misbehaviour."""
        with self._lock:
            self._troubles.clear()

    def answer(self, request: Request) -> Reply:
        """What the service says when nothing goes wrong."""
        raise NotImplementedError

    def serve(self, request: Request) -> Reply:
        self.requests.append(request)
        reply = self._trouble(request.path) or self.answer(request)
        self._closing.wait(reply.seconds)
        return reply

    def pause(self, seconds: float) -> None:
        self._closing.wait(seconds)

    def _trouble(self, path: str) -> Reply | None:
        with self._lock:
            for trouble in self._troubles:
                if trouble.times != 0 and trouble.path.fullmatch(path):
                    trouble.times = trouble.times and trouble.times - 1
                    return trouble.reply
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, web: Web, tls: ssl.SSLContext | None):
        self.web = web
        self.tls = tls
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # the parent asks for the host's name as well, which can take seconds

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the connection's own thread: a client that never greets stops nobody else."""
        with contextlib.suppress(OSError):
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True)
            self.connections.add(request)
            super().finish_request(request, client_address)
        if self.tls is not None:
            request.close()

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that clients keep open."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # clients under test time out and hang up
            super().handle()

    def _handle(self) -> None:
        where = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        reply = self.server.web.serve(Request(self.command, where.path, dict(parse_qsl(where.query)), headers, body))
        if reply is HANG_UP:
            self.close_connection = True
        else:
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        head = {"content-type": reply.content_type, "content-length": str(len(reply.body)), **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} Answer", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        sent = reply.body[: len(reply.body) // 2] if reply.cut else reply.body
        self.close_connection = self.close_connection or reply.cut
        self._write("\r\n".join(lines).encode("latin-1") + sent, reply.drip)

    def _write(self, whole: bytes, drip: float) -> None:
        size = 1 if drip else PIECE
        for start in range(0, len(whole), size):
            self.server.web.pause(drip)
            self.wfile.write(whole[start : start + size])
