"""Addresses as people paste them, and where they may lead."""

import re
import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

import httpx

from services.config import Settings
from services.connections.found import Provider
from services.errors import InvalidInput

LONGEST = 500  # characters of an address
POSTIZ_CLOUD = "https://api.postiz.com"
POSTIZ_PAGES = frozenset({"postiz.com", "www.postiz.com", "app.postiz.com", "platform.postiz.com"})

# The cloud providers' own services: whoever reads them can get the machine's credentials. Link-local ones besides.
METADATA = frozenset(
    map(ip_address, ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"))
)
NAT64 = IPv6Network("64:ff9b::/96")

HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
BARE = re.compile(r"(localhost|\[[0-9a-f:.]+\]|[^\s/:@?#]+\.[^\s/:@?#]+)(:[0-9]+)?(/.*)?", re.IGNORECASE)

# What people paste along with the base, from the end of the path.
TAILS: Mapping[Provider, re.Pattern[str]] = {
    "elevenlabs": re.compile(r"(/v[12])+$"),
    "gemini": re.compile(r"(/v1(beta)?)+$"),
    "postiz": re.compile(r"/public(/v1(/.*)?)?$"),
}


def clean_address(provider: Provider, typed: str, options: Settings) -> str | None:
    """The base of the API without a slash at its end; None = the vendor's own. Raises `InvalidInput` beside `address`.

    Postiz has no address of its own: it must be typed.
    """
    text = typed.strip()
    if not text and provider == "postiz":
        raise _refusal(f"Type the address of Postiz, such as {POSTIZ_CLOUD}.")
    return base_of(provider, text, options.allow_private_addresses) if text else None


def base_of(provider: Provider, text: str, private: bool) -> str:
    """As `clean_address`, with `private` as in `may_lead_to`."""
    return _base(provider, _parse(text, private))


def may_lead_to(address: IPv4Address | IPv6Address, private: bool) -> bool:
    """Whether a call may go there: to the public network, with `private` to this machine and its networks too.

    Never to link-local addresses or a cloud's metadata: no vendor's service is there.
    """
    target = _inner(address)
    if target.is_link_local or target.is_multicast or target.is_unspecified or target in METADATA:
        return False
    return private or (target.is_global and not target.is_reserved)


def private_sentence(host: str) -> str:
    return (
        f"{host} lies in a private network, where Clipdesk does not call. "
        "Whoever runs this server can allow it with ALLOW_PRIVATE_ADDRESSES."
    )


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that some IPv6 addresses stand for."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _parse(text: str, private: bool) -> httpx.URL:
    _check_letters(text)
    whole = _with_scheme(text)
    scheme = whole.split(":", 1)[0].lower()
    if scheme not in ("http", "https"):
        raise _refusal("The address must begin with https://.")
    _check_parts(whole)
    if scheme == "http" and not private:
        raise _refusal("Use https://: over http:// others on the way could read the key.")
    url = _url(whole)
    _check_host(url, private)
    return url


def _check_letters(text: str) -> None:
    if len(text) > LONGEST:
        raise _refusal("This is too long for an address.")
    if any(letter.isspace() or not letter.isprintable() for letter in text) or "\\" in text:
        raise _refusal("The address has a blank, a backslash or an invisible character inside.")


def _with_scheme(text: str) -> str:
    if "://" in text:
        return text
    bare = text.removeprefix("//")
    if not BARE.fullmatch(bare):
        raise _refusal("This is no web address. Type one such as https://api.example.com.")
    return f"https://{bare}"


def _check_parts(whole: str) -> None:
    if "@" in whole.split("://", 1)[1].split("/", 1)[0]:
        raise _refusal("The address holds a name or password before an @; leave them away, the key has its own field.")
    if "?" in whole or "#" in whole:
        raise _refusal("The address goes on after a ? or #; leave that away.")


def _url(whole: str) -> httpx.URL:
    try:
        urlsplit(whole).port  # noqa: B018 - refuses ports above 65535, which httpx lets pass
        url = httpx.URL(whole)
        readable = bool(url.raw_host) and url.port != 0
    except (httpx.InvalidURL, ValueError):
        readable = False
    if not readable:
        raise _refusal("This is no web address. Type one such as https://api.example.com.")
    return url


def _check_host(url: httpx.URL, private: bool) -> None:
    host = url.raw_host.decode("ascii")
    literal = _literal(host)
    if literal is None and not HOST.fullmatch(host):
        raise _refusal("The address has no valid host name.")
    here = host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")
    if (here and not private) or (literal is not None and not may_lead_to(literal, private)):
        raise _refusal(private_sentence(host))


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that the host is, in any spelling that connecting would understand: 127.1 is 127.0.0.1."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _base(provider: Provider, url: httpx.URL) -> str:
    host = url.netloc.decode("ascii")
    if provider == "postiz" and host in POSTIZ_PAGES:
        return POSTIZ_CLOUD
    path = re.sub(r"/+", "/", url.raw_path.decode("ascii")).rstrip("/")
    return f"{url.scheme}://{host}{TAILS[provider].sub('', path)}"


def _refusal(sentence: str) -> InvalidInput:
    return InvalidInput(sentence, field="address")
