"""The connection to Gemini: the vendor's SDK over a transport that is guarded, bounded, and ends in time."""

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Literal

import httpx
from pydantic import SecretStr

from services.connections.gemini import ADDRESS
from services.connections.transport import CONNECT_SECONDS, GuardedTransport, trusted
from services.errors import ProviderUnavailable

if TYPE_CHECKING:
    from google.genai import Client
    from google.genai.types import HttpOptions

LARGEST_ANSWER = 64 * 1024 * 1024  # bytes: a picture of four megapixels, encoded, has 20 million


class Connection:
    """The one client of a key for several threads, made when it is first used. Keeps no connection between calls.

    `private`: the address may lie in a private network.
    """

    def __init__(self, key: SecretStr, base_url: str | None, *, private: bool) -> None:
        self._key = key
        self._base_url = base_url or ADDRESS
        self._private = private
        self._lock = threading.Lock()
        self._client: Client | None = None

    def client(self) -> "Client":
        """Raises `ProviderUnavailable`."""
        try:
            with self._lock:
                self._client = self._client or self._connect()
                return self._client
        except Exception as error:  # a broken installation or setting: nothing was sent, so nothing is lost
            cause = type(error).__name__
        raise ProviderUnavailable(
            f"The Gemini client cannot start on this machine ({cause}). Run `pip install -r requirements.txt`."
        )

    def _connect(self) -> "Client":
        from google.genai import Client  # noqa: PLC0415 - takes 0.8 s; pages need it seldom
        from google.genai.types import HttpOptions  # noqa: PLC0415 - the same

        trust = trusted()
        return Client(
            api_key=self._key.get_secret_value(),
            vertexai=False,  # GOOGLE_GENAI_USE_VERTEXAI would send even this key elsewhere
            # An own pair of clients: those that the SDK makes take proxies and certificates from the environment.
            http_options=HttpOptions(
                base_url=self._base_url,
                httpx_client=httpx.Client(transport=_Timely(self._private), trust_env=False),
                httpx_async_client=httpx.AsyncClient(trust_env=False, verify=trust),
                async_client_args={"ssl": trust, "verify": trust},  # else the SDK reads all issuers three times: 0.1 s
            ),
        )


class _Timely(httpx.BaseTransport):
    """Ends a call after its time-out as a whole, however steadily the answer drips; redirects are not followed.

    Each call has a connection of its own: a kept one may be gone, and a paid call on it would count as lost.
    """

    def __init__(self, private: bool) -> None:
        self._private = private

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        limits = request.extensions["timeout"]
        seconds = limits["read"]
        limits["connect"] = min(CONNECT_SECONDS, seconds / 4)
        with closing(GuardedTransport(private=self._private, ends_at=time.monotonic() + seconds)) as guarded:
            answer = guarded.handle_request(request)
            body = _bounded(answer)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=httpx.ByteStream(body))


def _bounded(answer: httpx.Response) -> bytes:
    body = bytearray()
    with closing(answer):
        for piece in answer.iter_raw():
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise httpx.ReadError("The answer is too large.")
    return bytes(body)


def options(seconds: float, api: Literal["v1", "v1beta"]) -> "HttpOptions":
    """Of one call: an answer within `seconds`, and no retries behind our back."""
    from google.genai.types import HttpOptions, HttpRetryOptions  # noqa: PLC0415 - as slow as the SDK

    milliseconds = max(int(seconds * 1000), 1)
    return HttpOptions(timeout=milliseconds, api_version=api, retry_options=HttpRetryOptions(attempts=1))
