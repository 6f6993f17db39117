"""A bought answer and its two homes: the sound in the media store, the bill in the books."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services import audio
from services.errors import AppError, ProviderFailed, StorageFull
from services.logs import tag
from services.media.door import Media
from services.speech.provider import Speech

log = logging.getLogger(__name__)

State = Literal["intent", "sent", "settled", "recovered", "unclear", "refused", "reused"]


class Purchase(BaseModel):
    """A row of `purchases` as the worker gets it. `seconds_left` until its deadline; negative after it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: UUID
    account_id: UUID
    profile_id: UUID
    job_id: UUID
    place: int
    provider: str
    characters: int
    state: State
    cost_usd: Decimal
    media_path: str | None
    sent_at: datetime | None
    seconds_left: float | None
    rivals: bool = False
    key_id: UUID | None = None  # of the account that it was sent with; None: the environment's
    units_held: dict[str, int] | None = None  # of a call to a writer; None: a passage of speech


@dataclass(frozen=True)
class Filed:
    """Where an answer's sound lies, and what keeps it from being used: no room (`full`), or a `fault` of its own."""

    path: str
    full: StorageFull | None
    fault: str | None

    @property
    def usable(self) -> str | None:
        """The path, if a sound lies there that may be used."""
        return None if self.full or self.fault else self.path


def write(media: Media, purchase: Purchase, speech: Speech) -> Filed:
    """Keep the sound. A full store is told, not raised: what was bought is booked all the same."""
    path = _path(purchase, speech.data)
    full = None
    try:
        media.write(path, speech.data)
    except StorageFull as exc:
        full = exc
    return Filed(path, full, _fault(speech))


def settle(
    tell: Callable[..., Any], purchase: Purchase, speech: Speech, path: str | None, *, recovered: bool
) -> Decimal:
    """Book what was bought, once whoever asks; returns its cost in US dollars. `tell` calls the database."""
    try:
        cost = Decimal(
            tell(
                "settle_purchase",
                p_purchase_id=purchase.id,
                p_units=speech.units,
                p_vendor_id=speech.vendor_id,
                p_media_path=path,
                p_recovered=recovered,
            )
        )
    except AppError:
        log.error("%s %s of job %s is not booked yet", tag(purchase.profile_id), purchase.provider, purchase.job_id)
        raise
    log.info(
        "%s %s tts: %d characters, %s units, $%s, job %s%s",
        tag(purchase.profile_id), purchase.provider, purchase.characters, speech.units, cost, purchase.job_id,
        ", recovered" if recovered else "",
    )  # fmt: skip
    return cost


def _fault(speech: Speech) -> str | None:
    """Silence and noise are not kept as a passage."""
    try:
        return "silence" if audio.is_silent(audio.decode(speech.data)) else None
    except ProviderFailed:
        return "no readable audio"


def _path(purchase: Purchase, data: bytes) -> str:
    """Named after the purchase: every attempt that has its answer writes the same file."""
    ending = "wav" if data[:4] == b"RIFF" else "mp3"
    return f"speech/{purchase.account_id}/{purchase.profile_id}/parts/{purchase.id}.{ending}"
