"""What a page shows, asked for at once."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.costs import prices
from services.costs.prices import Price, PriceBook
from services.database.door import Database
from services.jobs.queue import Job, Status
from services.scripts.versions import Deployed
from services.speech.bills import OverrunCall, Spent
from services.speech.catalogue import ListedVoice, Service
from services.speech.decisions import Pause
from services.speech.dictionary import Pronunciation
from services.speech.generation import SpeechAsset


class JobsDesk(BaseModel):
    """Jobs and what is told of them; amounts in US dollars, by job. Who is absent has none."""

    model_config = ConfigDict(frozen=True)

    jobs: list[Job]
    spent: Mapping[UUID, Spent]  # of lost jobs, and of those with a call that is unclear
    costs: Mapping[UUID, Decimal]  # booked for ended jobs
    overruns: Mapping[UUID, Decimal]  # how many times what was announced the worst passage was billed
    people: Mapping[UUID, str]  # names of who ordered them
    prices: list[Price]  # of unclear calls, in the order of their validity
    waiting: int  # unclear calls, also of jobs that are not listed

    @property
    def book(self) -> PriceBook:
        return prices.as_book(self.prices)


def jobs(
    database: Database,
    account_id: UUID,
    *,
    profile_id: UUID | None = None,
    status: Status | None = None,
    kind: str | None = None,
    limit: int = 25,
    after: tuple[datetime, UUID] | None = None,
) -> JobsDesk:
    """Jobs of a company that the person may see, newest first; `after` is the last seen job's `key`.

    On the first page of all kinds and states up to 10 older ones stand first: those with a call that is unclear.
    """
    at, id_ = after or (None, None)
    answer: dict[str, Any] = database.call(
        "jobs_desk", p_account_id=account_id, p_profile_id=profile_id, p_status=status, p_kind=kind, p_before_at=at,
        p_before_id=id_, p_limit=limit,
    )  # fmt: skip
    return JobsDesk.model_validate(answer)


class VoiceDesk(BaseModel):
    """What a store can speak with and what it has spoken, as rows in the order in which services read them."""

    model_config = ConfigDict(frozen=True)

    accounts: Mapping[str, str]  # whose account the store uses at each vendor
    services: list[Service]
    voices: list[ListedVoice]  # of the provider that was asked for
    prices: list[Price]  # in force now
    words: list[Pronunciation]
    speeches: list[SpeechAsset]
    saved: Decimal  # US dollars that reuse saved this month (UTC)
    overruns: list[Pause]
    overrun_calls: list[OverrunCall]
    deployed: list[Deployed]  # scripts to speak
    jobs: JobsDesk  # the latest that speak


def voice(
    database: Database, account_id: UUID, profile_id: UUID, provider: str | None, *, speeches: int, jobs: int
) -> VoiceDesk:
    """A store's Voice page with the voices of one provider and the latest speeches and jobs. Raises `NotFound`."""
    answer: dict[str, Any] = database.call(
        "voice_desk", p_account_id=account_id, p_profile_id=profile_id, p_provider=provider, p_speeches=speeches,
        p_jobs=jobs,
    )  # fmt: skip
    return VoiceDesk.model_validate(answer)
