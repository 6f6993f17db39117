"""Speech from order to file: what it would cost, ordering it, making it in the background, finding it again."""

import logging
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, field_serializer, field_validator

from services import audio
from services.database.door import Database, Row
from services.errors import NotFound, Refusal
from services.jobs import queue
from services.jobs.checkpoints import reached
from services.jobs.context import Context, Outcome
from services.logs import tag
from services.profiles import Quota
from services.speech import catalogue, dictionary, passages, pronunciation, purchases, registry
from services.speech.provider import Line, VoiceSettings

log = logging.getLogger(__name__)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # all but tab and newline; half characters too


class SpeechOrder(BaseModel):
    """What shall be spoken, how, and for which project or clip of the store.

    Spaces at the text's ends and control characters are cut: nobody hears them, and they would be billed.
    """

    model_config = ConfigDict(frozen=True)

    text: str
    provider: str
    model: str
    voice: str
    format: audio.Format = "mp3"
    settings: VoiceSettings = VoiceSettings()
    project_id: UUID | None = None
    clip_id: UUID | None = None

    @field_validator("text")
    @classmethod
    def _audible(cls, value: str) -> str:
        return CONTROL.sub("", value).strip()

    @field_serializer("settings")
    def _set(self, value: VoiceSettings) -> dict[str, Any]:
        """Without what is not set: the reuse key must not change when a provider learns a new setting."""
        return value.model_dump(exclude_none=True)

    def as_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class Quote(BaseModel):
    """What an order would cost now, in US dollars, and whether this calendar month (UTC) has room for it."""

    model_config = ConfigDict(frozen=True)

    characters: int  # Unicode code points that are spoken, names said as the dictionary says included
    passages: int
    bought: int  # passages that this store has bought before: they cost nothing
    estimate: Decimal
    saved: Decimal  # what the passages bought before had cost
    exact: bool  # False: the voice's multiplier is unknown, and the estimate is the dearest it may be
    allow_free_over_quota: bool
    store: Quota
    company: Quota  # over all of its stores
    existing: UUID | None  # the same speech, made before: reusing it costs nothing
    running: UUID | None  # a job that makes the same speech right now

    @property
    def free(self) -> bool:
        return self.estimate == 0

    @property
    def left_after(self) -> Decimal | None:
        """What the month would have left after this, at least 0; None = no limit."""
        left = [limit.left - self.estimate for limit in (self.store, self.company) if limit.left is not None]
        return max(min(left), Decimal(0)) if left else None

    @property
    def more_like_it(self) -> int | None:
        """How many more at this price fit into the month after this one; None = no limit, or free."""
        if self.left_after is None or self.free:
            return None
        return int(self.left_after // self.estimate)

    @property
    def refusal(self) -> Refusal | None:
        """Why a hold would be refused right now, or None."""
        if self.bought == self.passages or (self.free and self.allow_free_over_quota):
            return None
        return self._refused_by("store", self.store) or self._refused_by("company", self.company)

    def _refused_by(self, scope: str, quota: Quota) -> Refusal | None:
        if quota.limit is None:
            return None
        shortfall = quota.settled + quota.held + self.estimate - quota.limit
        if shortfall <= 0 and not quota.exceeded:
            return None
        return Refusal(
            message=f"This month's quota of the {scope} does not cover it.",
            scope=scope,
            current_costs=quota.settled,
            held=quota.held,
            estimate=self.estimate,
            monthly_quota=quota.limit,
            shortfall=max(shortfall, Decimal(0)),
        )


class SpeechAsset(Row):
    """Speech that was made. The audio lies in the media store under `media_path`."""

    table: ClassVar[str] = "speech_assets"

    id: UUID
    account_id: UUID
    profile_id: UUID
    job_id: UUID | None
    created_by: UUID | None
    text: str
    provider: str
    model: str
    voice: str
    settings: dict[str, Any]
    format: audio.Format
    characters: int
    duration_seconds: float
    bytes: int
    media_path: str
    cost_usd: Decimal
    saved_usd: Decimal
    created_at: datetime
    deleted_at: datetime | None

    @property
    def file_name(self) -> str:
        """For downloads: the first words of the text, in plain letters and digits."""
        words = "".join(c if c.isascii() and c.isalnum() else " " for c in self.text[:200]).split()
        return f"{'-'.join(words[:6]).lower()[:60] or 'speech'}.{self.format}"

    @property
    def key(self) -> tuple[datetime, UUID]:
        """Its place in the list: what `after` takes."""
        return self.created_at, self.id


# For pages --------------------------------------------------------------------------------------------------------


def quote(database: Database, profile_id: UUID, order: SpeechOrder) -> Quote:
    """Raises `InvalidInput` (field `text`), `NotFound`, `NotAllowed`, `PriceMissing`, `ModelPaused`, `Conflict`."""
    answer = database.call("speech_quote", p_profile_id=profile_id, p_speech=_wanted(database, profile_id, order))
    return Quote.model_validate(answer)


def order_speech(database: Database, profile_id: UUID, order: SpeechOrder, job_id: UUID) -> UUID:
    """Hold the first passage's money and queue the work; returns the id of the job that makes the speech.

    `job_id` is new and kept until the order has got through: the same id again orders nothing more. While the
    same speech is being made for this store, that job's id is returned. Raises `InvalidInput` (field `text`),
    `QuotaExceeded`, `PriceMissing`, `ModelPaused`, `StoreSuspended`, `NotFound`, `NotAllowed`, `Conflict`.
    """
    wanted = _wanted(database, profile_id, order)
    answer = database.call("enqueue_speech", p_job_id=job_id, p_profile_id=profile_id, p_speech=wanted)
    made = UUID(answer["job_id"])
    if made == job_id:
        log.info("%s created job speech %s", tag(profile_id), job_id)
    queue.wake()
    return made


def spoken(database: Database, profile_id: UUID, order: SpeechOrder) -> list[str]:
    """The passages as they will be spoken: names as the store's dictionary says them. Raises `InvalidInput`."""
    registry.provider(order.provider).check(order.text)
    text = pronunciation.apply(order.text, dictionary.entries(database, profile_id))
    return passages.split(text, catalogue.model(database, order.provider, order.model, profile_id).max_characters)


def _wanted(database: Database, profile_id: UUID, order: SpeechOrder) -> dict[str, Any]:
    return {**order.as_json(), "chunks": spoken(database, profile_id, order)}


def saved_this_month(database: Database, profile_id: UUID) -> Decimal:
    """What the store's reused passages would have cost this month (UTC), in US dollars."""
    return Decimal(database.call("speech_saved", p_profile_id=profile_id))


def recent(
    database: Database, profile_id: UUID, limit: int = 20, after: tuple[datetime, UUID] | None = None
) -> list[SpeechAsset]:
    """A store's speech, newest first; `after` is the last seen one's `key`."""
    return database.select(
        SpeechAsset,
        [("profile_id", "eq", profile_id), ("deleted_at", "is", None)],
        order=[("created_at", "desc"), ("id", "desc")],
        limit=limit,
        after=after,
    )


def get(database: Database, speech_id: UUID) -> SpeechAsset:
    """Raises `NotFound`, also for speech of somebody else's store."""
    found = database.select(SpeechAsset, [("id", "eq", speech_id), ("deleted_at", "is", None)])
    if not found:
        raise NotFound("Speech not found. It may have been deleted.")
    return found[0]


# For the worker ---------------------------------------------------------------------------------------------------

SHARE_OF_SPEAKING = 0.9  # of a job's progress; joining takes the rest


def speak(context: Context) -> None:
    """Make the ordered speech: buy each passage that the store has not, join them, store the whole."""
    order = SpeechOrder.model_validate(context.job.input)
    parts = list(_parts(context, order))
    context.progress(SHARE_OF_SPEAKING, "Joining the passages" if len(parts) > 1 else "Saving the audio")
    made = context.step("join", lambda: _join(context, order, parts), usable=partial(_usable, context))
    context.check()
    context.finish("save_speech", p_speech={**made, "id": made["speech_id"]})


def lines(job_input: dict[str, Any]) -> list[Line]:
    """The passages of a job that speaks, each with what stands before and after it."""
    order = SpeechOrder.model_validate(job_input)
    texts: list[str] = job_input.get("chunks") or [order.text]  # jobs of the first release have no passages
    around = ["", *texts, ""]
    return [
        Line(
            text=text,
            voice=order.voice,
            model=order.model,
            settings=order.settings,
            before=around[place],
            after=around[place + 2],
        )
        for place, text in enumerate(texts)
    ]


def _parts(context: Context, order: SpeechOrder) -> Iterator[str]:
    """The media paths of the passages, bought one after the other; cancelled between two of them if asked."""
    spoken_lines = lines(context.job.input)
    for place, line in enumerate(spoken_lines):
        context.check()
        context.progress(
            SHARE_OF_SPEAKING * place / len(spoken_lines),
            f"Speaking passage {place + 1} of {len(spoken_lines)}" if len(spoken_lines) > 1 else "Speaking",
        )
        yield purchases.buy(context, line, place)


def _join(context: Context, order: SpeechOrder, parts: list[str]) -> Outcome:
    speech_id = uuid4()
    path = _path(context, order.format)
    spans: list[audio.Span] = []
    with tempfile.TemporaryFile() as file:
        seconds = audio.join((context.media.read(part) for part in parts), order.format, file, spans)
        size = file.seek(0, 2)
        file.seek(0)
        reached("joined")
        context.media.write(path, file)
    reached("joined_written")
    return {
        "speech_id": str(speech_id),
        "media_path": path,
        "duration_seconds": str(round(seconds, 3)),
        "bytes": size,
        "made_at": datetime.now(UTC).isoformat(),
        "spans": spans,
    }


def _path(context: Context, fmt: audio.Format) -> str:
    """Contains the attempt's token: no two attempts ever write the same file."""
    job = context.job
    return f"speech/{job.account_id}/{job.profile_id}/{job.id}-{job.attempt_token}.{fmt}"


def _usable(context: Context, made: Outcome) -> bool:
    """Whether an earlier attempt's file can be saved now.

    The sweeper takes files of ended jobs after `sweep_hours`; half of that is far enough from a race with it.
    """
    age = datetime.now(UTC) - datetime.fromisoformat(made["made_at"])
    young = age < timedelta(hours=context.options.sweep_hours / 2)
    return young and context.media.exists(made["media_path"])
