"""HTTP for many threads: each connection serves one request at a time, whoever asks.

httpx's own pool may close a connection that another thread has just been given (seen here under load as "Bad file
descriptor", 2 to 6 of 600 requests): an answer would be lost, of a call that must not be repeated.
"""

import queue
import ssl
from collections.abc import Callable, Iterator
from typing import cast
from urllib.request import getproxies, proxy_bypass

import httpx

CONNECTIONS = 40
IDLE_SECONDS = 60.0  # httpx gives connections up after 5 s: each page of a slow reader would greet the server anew


class Lines(httpx.BaseTransport):
    """At most `CONNECTIONS` to one server, made as needed; the one used last is used next."""

    def __init__(self) -> None:
        self._context = httpx.create_ssl_context()
        self._free: queue.LifoQueue[httpx.BaseTransport | None] = queue.LifoQueue()  # None: not made yet
        self._closed = False
        for _ in range(CONNECTIONS):
            self._free.put(None)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        line = self._take(request)
        try:
            response = line.handle_request(request)
        except BaseException:
            self._give_back(line)
            raise
        stream = cast(httpx.SyncByteStream, response.stream)  # what a synchronous transport gives
        response.stream = _Body(stream, lambda: self._give_back(line))
        return response

    def close(self) -> None:
        self._closed = True
        while not self._free.empty():
            line = self._free.get_nowait()
            if line is not None:
                line.close()

    def _take(self, request: httpx.Request) -> httpx.BaseTransport:
        try:
            line = self._free.get(timeout=request.extensions.get("timeout", {}).get("pool"))
        except queue.Empty:
            raise httpx.PoolTimeout("all connections are in use", request=request) from None
        if line is not None:
            return line
        try:
            return _line(self._context, request.url)
        except BaseException:
            self._free.put(None)
            raise

    def _give_back(self, line: httpx.BaseTransport) -> None:
        if self._closed:
            line.close()
        else:
            self._free.put(line)


class _Body(httpx.SyncByteStream):
    """An answer's bytes; once they are read or given up, its connection serves another."""

    def __init__(self, stream: httpx.SyncByteStream, done: Callable[[], None]) -> None:
        self._stream = stream
        self._done = done

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._done()


def _line(context: ssl.SSLContext, url: httpx.URL) -> httpx.HTTPTransport:
    """One connection, by the proxy that the environment names for this server."""
    proxy = None if proxy_bypass(url.host) else getproxies().get(url.scheme)
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_SECONDS)
    return httpx.HTTPTransport(verify=context, limits=limits, proxy=proxy)
