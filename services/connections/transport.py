"""Connections to addresses that somebody typed: only where they may lead, and never longer than granted."""

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import Any

import httpcore
import httpx

from services.connections.addresses import may_lead_to

CONNECT_SECONDS = 5.0  # looking up the name and connecting, where the caller does not say


class NameUnknown(httpx.ConnectError):
    """No server has this name."""


class NamesSilent(httpx.ConnectError):
    """The network's name service does not answer."""


class PlaceForbidden(httpx.ConnectError):
    """The name leads where calls may not go."""


class GuardedTransport(httpx.BaseTransport):
    """HTTP whose every connection goes to an address that was checked in the moment of connecting.

    A name is looked up once a connection and the connection made to what was looked up, so a name that changes its
    address meanwhile gains nothing. `private` as in `may_lead_to`. From `ends_at` on (an instant on the monotonic
    clock; None = never) every step ends in a time-out, however steadily the answer drips. Raises httpx's errors,
    among them those above. The environment's proxies are not used: they would look the name up themselves.
    """

    def __init__(self, *, private: bool, ends_at: float | None = None) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=trusted(),
            network_backend=_Backend(private, ends_at),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        inner = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            answer = self._pool.handle_request(inner)
        body = _Body(answer)
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    def close(self) -> None:
        self._pool.close()


def trusted() -> ssl.SSLContext:
    """The issuers that SSL_CERT_FILE and SSL_CERT_DIR name, else the usual ones."""
    return _trusted(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _trusted(file: str | None, folder: str | None) -> ssl.SSLContext:
    """Reading them takes 30 ms; an open page tests often."""
    return httpx.create_ssl_context()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """The two families of errors have the same names."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise kind(str(error)) from error


class _Backend(httpcore.SyncBackend):
    def __init__(self, private: bool, ends_at: float | None) -> None:
        self._private = private
        self._ends_at = ends_at

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        granted = _shorter(timeout, self._ends_at, httpcore.ConnectTimeout)
        ends_at = time.monotonic() + (CONNECT_SECONDS if granted is None else granted)
        addresses = self._checked(host, port, ends_at)
        while True:
            address = addresses.pop(0)
            seconds = _left(ends_at, httpcore.ConnectTimeout) / (len(addresses) + 1)
            try:
                stream = super().connect_tcp(address, port, seconds, local_address, socket_options)
                return _Stream(stream, self._ends_at)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not addresses:
                    raise

    def _checked(self, host: str, port: int, ends_at: float) -> list[str]:
        addresses = _look_up(host, port, _left(ends_at, httpcore.ConnectTimeout))
        if not all(may_lead_to(ip_address(address), self._private) for address in addresses):
            raise PlaceForbidden("The name leads to a private address.")
        return addresses


class _Stream(httpcore.NetworkStream):
    """A connection whose steps end with the whole."""

    def __init__(self, stream: httpcore.NetworkStream, ends_at: float | None) -> None:
        self._stream = stream
        self._ends_at = ends_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _shorter(timeout, self._ends_at, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _shorter(timeout, self._ends_at, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = _shorter(timeout, self._ends_at, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, seconds), self._ends_at)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(ends_at: float, late: type[Exception]) -> float:
    """Seconds until then. Raises `late` once nothing is left."""
    left = ends_at - time.monotonic()
    if left <= 0:
        raise late("The time for the whole is over.")
    return left


def _shorter(seconds: float | None, ends_at: float | None, late: type[Exception]) -> float | None:
    """What a step may take of what the whole has left; None = for ever."""
    if ends_at is None:
        return seconds
    left = _left(ends_at, late)
    return left if seconds is None else min(seconds, left)


def _look_up(host: str, port: int, seconds: float) -> list[str]:
    """The numeric addresses of a name. The system's look-up knows no time-out, so it runs beside."""
    answers: SimpleQueue[list[str] | Exception] = SimpleQueue()
    threading.Thread(target=lambda: answers.put(resolve(host, port)), daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise NamesSilent("The look-up of the name took too long.") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def resolve(host: str, port: int) -> list[str] | Exception:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        silent = error.errno == socket.EAI_AGAIN
        return NamesSilent("No answer to the look-up.") if silent else NameUnknown("No such name.")
    except (OSError, UnicodeError):  # a label that is empty or has more than 63 letters
        return NameUnknown("No such name.")
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
