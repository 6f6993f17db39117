"""Why a connection does not work: one sentence a cause, for the operator who can mend it."""

import ssl
from collections.abc import Iterator, Mapping
from enum import StrEnum, auto

import httpx

from services.connections.transport import NamesSilent, NameUnknown, PlaceForbidden


class Cause(StrEnum):
    NAME_UNKNOWN = auto()
    NAMES_SILENT = auto()
    PLACE_FORBIDDEN = auto()
    REFUSED = auto()
    UNREACHABLE = auto()
    CONNECT_SLOW = auto()
    ANSWER_SLOW = auto()
    CERTIFICATE_EXPIRED = auto()
    CERTIFICATE_NAME = auto()
    CERTIFICATE_UNKNOWN = auto()
    NO_TLS = auto()
    TLS = auto()
    BROKEN_OFF = auto()
    TOO_LARGE = auto()
    LOGIN_PAGE = auto()
    MOVED = auto()
    WEB_PAGE = auto()
    NOT_JSON = auto()
    SHAPE = auto()
    NO_SUCH_PATH = auto()
    WRONG_KEY = auto()
    LIMITED_KEY = auto()
    BLOCKED = auto()
    NO_PLAN = auto()
    RATE_LIMIT = auto()
    DAY_LIMIT = auto()
    FAULT = auto()
    STATUS = auto()


# What may be over by itself, and says nothing about the key or what it is allowed.
PASSING = frozenset(
    {
        Cause.NAME_UNKNOWN, Cause.NAMES_SILENT, Cause.REFUSED, Cause.UNREACHABLE, Cause.CONNECT_SLOW, Cause.ANSWER_SLOW,
        Cause.TLS, Cause.BROKEN_OFF, Cause.RATE_LIMIT, Cause.DAY_LIMIT, Cause.FAULT,
    }
)  # fmt: skip


class Trouble(Exception):
    """`values` fill the sentence; none of them is secret."""

    def __init__(self, cause: Cause, **values: object) -> None:
        super().__init__(cause)
        self.cause = cause
        self.values = values


# Every sentence may name: label (the vendor), address (as called), host, port.
SENTENCES: Mapping[Cause, str] = {
    Cause.NAME_UNKNOWN: "There is no server named {host} (DNS). Check the address for typing errors.",
    Cause.NAMES_SILENT: "This server's name look-up (DNS) does not answer for {host}. Try again in a minute.",
    Cause.PLACE_FORBIDDEN: "{host} leads to a private network, where Clipdesk does not call. "
    "Whoever runs this server can allow it with ALLOW_PRIVATE_ADDRESSES.",
    Cause.REFUSED: "{host} takes no connections on port {port}. Check the port, and that {label} runs there.",
    Cause.UNREACHABLE: "{host} cannot be reached from this server. Check its network and firewall.",
    Cause.CONNECT_SLOW: "{host} did not take the connection within {seconds:g} seconds. "
    "Check the address, the port and any firewall between.",
    Cause.ANSWER_SLOW: "{host} took the call but had not answered in full after {seconds:g} seconds. "
    "Try again in a few minutes.",
    Cause.CERTIFICATE_EXPIRED: "The TLS certificate of {host} has expired. Whoever runs {host} must renew it.",
    Cause.CERTIFICATE_NAME: "The TLS certificate of {host} is for another name. "
    "Type the name it was issued for, or have it issued anew.",
    Cause.CERTIFICATE_UNKNOWN: "The TLS certificate of {host} is of an issuer this server does not trust, "
    "such as a self-signed one. Install a public certificate there, or its issuer here (SSL_CERT_FILE).",
    Cause.NO_TLS: "{host} does not speak TLS on port {port}. Check the port, and whether https:// is right.",
    Cause.TLS: "No secure connection (TLS) to {host} came about. Check its TLS settings.",
    Cause.BROKEN_OFF: "{host} broke the connection off before its answer was complete. Check the port, then try again.",
    Cause.TOO_LARGE: "{host} answered with more than {megabytes} MB, which the {label} API never does. "
    "Check the address.",
    Cause.LOGIN_PAGE: "{address} leads on to another page, such as a login page, instead of the {label} API. "
    "Check the address.",
    Cause.MOVED: "{host} sends calls on to {target}, where Clipdesk does not follow. "
    "If that is right, type that address.",
    Cause.WEB_PAGE: "{address} answers with a web page instead of the {label} API. "
    "Check the address, and any proxy between.",
    Cause.NOT_JSON: "{address} answers with something other than JSON, so it is not the {label} API. "
    "Check the address.",
    Cause.SHAPE: "{address} answers, but not in the way of the {label} API. Check the address, and any proxy between.",
    Cause.NO_SUCH_PATH: "{host} answers, but has no {label} API at {address}. Check the address.",
    Cause.WRONG_KEY: "{label} does not accept the key. Copy it again, or make a new one there.",
    Cause.LIMITED_KEY: "{label} knows the key but does not allow it this. Give the key more permissions there.",
    Cause.BLOCKED: "{label} has blocked this account or this server. Ask {label}'s support.",
    Cause.NO_PLAN: "{label} accepts the key, but the account has no plan that includes the API.",
    Cause.RATE_LIMIT: "{label} got too many calls with this key. Try again in {wait}.",
    Cause.DAY_LIMIT: "{label}'s limit of calls a day is used up for this key. Try again tomorrow, or raise it there.",
    Cause.FAULT: "{label} has a fault of its own right now (status {status}). Try again in a few minutes.",
    Cause.STATUS: "{label} refused the call (status {status}). Check the address and the key.",
}

EXPIRED, NAMES = (10,), (62, 64)  # OpenSSL's verification codes; all others are about the issuer
NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")

OWN: Mapping[type[httpx.TransportError], Cause] = {
    NameUnknown: Cause.NAME_UNKNOWN,
    NamesSilent: Cause.NAMES_SILENT,
    PlaceForbidden: Cause.PLACE_FORBIDDEN,
    httpx.ConnectTimeout: Cause.CONNECT_SLOW,
}


def cause_of(error: httpx.TransportError) -> Cause:
    """What a call that got no answer failed of."""
    if type(error) in OWN:
        return OWN[type(error)]
    if isinstance(error, httpx.TimeoutException):
        return Cause.ANSWER_SLOW
    if not isinstance(error, httpx.ConnectError):
        return Cause.BROKEN_OFF
    return next(filter(None, map(_of_root, _chain(error))), Cause.UNREACHABLE)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _of_root(error: BaseException) -> Cause | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _of_certificate(error.verify_code)
    if isinstance(error, ssl.SSLError):
        return Cause.NO_TLS if error.reason in NO_TLS else Cause.TLS
    if isinstance(error, ConnectionRefusedError):
        return Cause.REFUSED
    if isinstance(error, ConnectionResetError):
        return Cause.BROKEN_OFF
    return None


def _of_certificate(code: int) -> Cause:
    if code in EXPIRED:
        return Cause.CERTIFICATE_EXPIRED
    return Cause.CERTIFICATE_NAME if code in NAMES else Cause.CERTIFICATE_UNKNOWN
