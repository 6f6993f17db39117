"""Postiz: where its API is, and the channels of the key's organisation."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from services.config import Settings
from services.connections.calls import Caller
from services.connections.causes import Cause, Trouble
from services.connections.found import Found
from services.connections.shapes import Picture, VendorShape, Word, counted

HEADER = "Authorization"  # the bare key: with "Bearer" before it Postiz says "Invalid API key"
API = "/api"

SENTENCES: Mapping[Cause, str] = {
    Cause.WRONG_KEY: "Postiz does not accept the key. Copy it anew in Postiz, under Settings, Developers, Public API; "
    "a rotated key stops at once.",
}

# Answers that come from something other than the API, such as the web app in front of it.
ELSEWHERE = frozenset({Cause.LOGIN_PAGE, Cause.MOVED, Cause.WEB_PAGE, Cause.NOT_JSON, Cause.SHAPE, Cause.NO_SUCH_PATH})


def own_address(options: Settings) -> None:
    """None: everybody's Postiz is somewhere else."""


class Connected(VendorShape):
    connected: Literal[True]


class Channel(VendorShape):
    id: Word
    name: Word
    identifier: Word
    picture: Picture = None
    disabled: bool = False
    profile: Word | None = None


class Channels(VendorShape):
    channels: list[Channel]


def find(caller: Caller, address: str) -> Found:
    """Not ok with the right address in its facts if the API is beside what was typed. Raises `Trouble`."""
    right = _locate(caller, address)
    channels = Channels.read({"channels": caller.get(f"{right}/public/v1/integrations", refusals)}).channels
    facts = {"address": right, "channels": [channel.model_dump() for channel in channels]}
    if right != address:
        return Found(
            ok=False, message=f"{address} is not the Postiz API, but {right} is. Use that address.", facts=facts
        )
    return Found(ok=True, message=_message(channels), facts=facts)


def refusals(status: int, body: Any) -> Trouble | None:
    if status != 401:
        return None
    told = body.get("msg") if isinstance(body, dict) else None
    if told is None and not body:
        return Trouble(Cause.FAULT, status=status)  # an empty 401 is a fault of its database, not of the key
    return Trouble(Cause.NO_PLAN if told == "No subscription found" else Cause.WRONG_KEY, status=status)


def _locate(caller: Caller, address: str) -> str:
    """The base that answers as the API does. Raises the `Trouble` of the address itself if none does."""
    try:
        _knock(caller, address)
        return address
    except Trouble as trouble:
        if trouble.cause not in ELSEWHERE:
            raise
        first = trouble
    right = next((other for other in _others(address) if _is_api(caller, other)), None)
    if right is None:
        raise first
    return right


def _knock(caller: Caller, address: str) -> None:
    Connected.read(caller.get(f"{address}/public/v1/is-connected", refusals))


def _is_api(caller: Caller, address: str) -> bool:
    try:
        _knock(caller, address)
    except Trouble as trouble:
        if trouble.cause in ELSEWHERE:
            return False
        raise
    return True


def _others(address: str) -> Iterator[str]:
    """Where else it may be on the same server: behind /api, without it, or beside the page that was copied."""
    origin = f"{urlsplit(address).scheme}://{urlsplit(address).netloc}"
    candidates = [address.removesuffix(API) if address.endswith(API) else address + API, origin + API]
    yield from (other for other in dict.fromkeys(candidates) if other != address)


def _message(channels: list[Channel]) -> str:
    if not channels:
        return "Connected, but there are no channels yet. Connect them in Postiz."
    disabled = sum(channel.disabled for channel in channels)
    ending = f", {disabled} of them disabled" if disabled else ""
    return f"Connected: {counted(len(channels), 'channel')}{ending}."
