"""What happened in the demo company, from a fixed seed and up to a given instant. `demo_rows` makes it rows."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from services.demo_data import (
    ACCOUNT_ID,
    CLIP_NAMES,
    FAILURES,
    FLASH_LITE,
    FOUNDER,
    MULTILINGUAL,
    PEOPLE,
    PODCAST_NAME,
    PRICES,
    SENTENCES,
    STORES,
    VIDEO_NAMES,
    Person,
    Price,
    Store,
    ident,
)

Row = dict[str, Any]

SEED = "clipdesk demo 1"
COMPLETE_MONTHS = 6
PEAK, PEAK_FACTOR = 3, 1.5  # the month, counted from 0, of the season's campaign
GROWTH = 1.06  # a month
WEEK = (0.8, 0.85, 0.95, 1.05, 1.5, 1.25, 0.6)  # of an ordinary day, Monday first
OPENS, OPEN_HOURS = time(7), timedelta(hours=13)  # in the store's own time
FOUNDED_BEFORE = timedelta(days=3)  # the first month
FAILED_SHARE, CANCELLED_SHARE = 0.015, 0.01  # of the speech that may be retried
NEAR_SHARE = Decimal("0.92")
FREE_OR_PRACTICE = ("hibari", "practice")  # voices that this machine has
MICRO = Decimal("0.000001")


# When -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Span:
    """The first instants (UTC) of the complete months and the current one, and where the history ends."""

    months: tuple[datetime, ...]
    until: datetime

    @classmethod
    def until_now(cls, now: datetime) -> "Span":
        """Ends with yesterday, so that each load of a day gives the same.

        On a month's first day it goes on to `now`: without spending in the month no quota could be seen at work.
        """
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        months = [midnight.replace(day=1)]
        for _ in range(COMPLETE_MONTHS):
            months.insert(0, (months[0] - timedelta(days=1)).replace(day=1))
        return cls(tuple(months), now.astimezone(UTC) if midnight == months[-1] else midnight)

    @property
    def start(self) -> datetime:
        return self.months[0]

    @property
    def founded(self) -> datetime:
        return self.start - FOUNDED_BEFORE

    @property
    def this_month(self) -> datetime:
        return self.months[-1]

    def month(self, at: date) -> int:
        """Which month of the history, from 0; days before it count to the first."""
        return max(sum(first.date() <= at for first in self.months) - 1, 0)

    def bounds(self, month: int) -> tuple[datetime, datetime]:
        return self.months[month], (*self.months[1:], self.until)[month]


def _rng(*parts: object) -> random.Random:
    return random.Random("/".join(map(str, (SEED, *parts))))  # noqa: S311 - made-up history, not a secret


def _open_at(store: Store, at: datetime) -> bool:
    local = at.astimezone(ZoneInfo(store.timezone))
    opens = datetime.combine(local.date(), OPENS, local.tzinfo)
    return opens <= local < opens + OPEN_HOURS


def _moment(rng: random.Random, store: Store, first: datetime, last: datetime) -> datetime:
    """Within opening hours; in a month's first hours, when no shop has opened yet, any instant."""
    for _ in range(60):
        at = first + (last - first) * rng.random()
        if _open_at(store, at):
            break
    return at


# What was ordered -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of paid (or free) work. `sentences`: fewest and most of a text; `share`: of everything ordered."""

    service: str
    model: str
    operation: str
    category: str
    voice: str | None
    sentences: tuple[int, int]
    share: float


PREMIUM = Kind(
    service="practice",
    model="premium",
    operation="tts",
    category="speech",
    voice="premium",
    sentences=(2, 7),
    share=0.52,
)
KINDS = (
    PREMIUM,
    replace(PREMIUM, service="hibari", model="heart", voice="heart", sentences=(1, 4), share=0.12),
    replace(PREMIUM, service="elevenlabs", model=MULTILINGUAL, voice="rachel", sentences=(5, 10), share=0.18),
    Kind(
        service="gemini",
        model=FLASH_LITE,
        operation="prompt_generation",
        category="text",
        voice=None,
        sentences=(1, 2),
        share=0.12,
    ),
    Kind(
        service="gemini",
        model=FLASH_LITE,
        operation="clip_analysis",
        category="image",
        voice=None,
        sentences=(1, 1),
        share=0.06,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Work:
    """One order. Its id names the job, the hold and the ledger's request."""

    id: UUID
    store: Store
    kind: Kind
    at: datetime
    ended: datetime
    person: Person | None  # None: System
    text: str
    tokens: dict[str, int]  # of work that is not speech
    outcome: Literal["completed", "failed", "cancelled"]
    error: str | None = None
    project_id: UUID | None = None
    clip_id: UUID | None = None
    has_audio: bool = False

    @property
    def job(self) -> bool:
        """Speech runs as a job; scripts had their own runs."""
        return self.kind.voice is not None

    @property
    def booked(self) -> bool:
        return self.outcome == "completed"

    @property
    def units(self) -> dict[str, int]:
        return self.tokens or {"characters": len(self.text)}

    @cached_property
    def entry_id(self) -> UUID:
        """Also the id of the speech that was made."""
        return ident("entry", self.id)

    @property
    def person_id(self) -> UUID | None:
        return self.person.id if self.person else None


def _daily(store: Store, span: Span) -> Iterator[Work]:
    """What the store ordered from the first month's first day until now. Each day has a seed of its own."""
    for day in range((span.until.date() - span.start.date()).days + 1):
        for work in _day(store, span.start.date() + timedelta(days=day), span):
            if span.start <= work.at and work.ended <= span.until:
                yield work


def _day(store: Store, day: date, span: Span) -> Iterator[Work]:
    rng = _rng(store.code, day)
    month = span.month(day)
    wanted = store.pace * WEEK[day.weekday()] * GROWTH**month * (PEAK_FACTOR if month == PEAK else 1)
    opens = datetime.combine(day, OPENS, ZoneInfo(store.timezone))
    for number in range(max(round(rng.gauss(wanted, wanted**0.5 / 2)), 0)):
        at = (opens + OPEN_HOURS * rng.random()).astimezone(UTC)
        kind = rng.choices(KINDS, [kind.share for kind in KINDS])[0]
        yield _order(rng, ident("work", store.code, day, number), store, kind, at)


def _order(rng: random.Random, work_id: UUID, store: Store, kind: Kind, at: datetime) -> Work:
    text = " ".join(rng.sample(SENTENCES, rng.randint(*kind.sentences)))
    luck = rng.random() if kind.service in FREE_OR_PRACTICE else 1.0
    outcome: Literal["completed", "failed", "cancelled"] = "completed"
    if luck < FAILED_SHARE + CANCELLED_SHARE:
        outcome = "failed" if luck < FAILED_SHARE else "cancelled"
    return Work(
        id=work_id,
        store=store,
        kind=kind,
        at=at,
        ended=at + timedelta(seconds=1.5 + len(text) / 80 + rng.random()),
        person=_orderer(rng, store, kind),
        text=text,
        tokens={} if kind.voice else _tokens(rng),
        outcome=outcome,
        error=rng.choice(FAILURES) if outcome == "failed" else None,
    )


def _orderer(rng: random.Random, store: Store, kind: Kind) -> Person | None:
    """Mostly a manager of the store; analyses run at night of themselves now and then."""
    if kind.operation == "clip_analysis" and rng.random() < 0.4:
        return None
    managers = [person for person in PEOPLE if store.code in person.stores]
    return rng.choice(managers) if rng.random() < 0.94 else FOUNDER


def _tokens(rng: random.Random) -> dict[str, int]:
    return {
        "input_tokens": rng.randint(20_000, 120_000),
        "cached_tokens": rng.randint(0, 30_000),
        "output_tokens": rng.randint(1_500, 7_000),
    }


def _with_spoken_lines(store: Store, work: Sequence[Work]) -> list[Work]:
    """The store's latest speech of this machine's voices says the lines that have real audio."""
    able = [place for place, w in enumerate(work) if w.kind.service in FREE_OR_PRACTICE and w.booked]
    latest = sorted(able, key=lambda place: work[place].at)[-len(store.spoken) :]
    changed = list(work)
    for place, line in zip(latest, store.spoken, strict=True):
        changed[place] = replace(work[place], text=line, has_audio=True)
    return changed


# What it cost -----------------------------------------------------------------------------------------------------


class PriceBook:
    """The company's prices over time; costs are computed as `private.price_units` does."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._known: dict[tuple[str, str, str], list[Price]] = {}  # the newest first
        for price in sorted(PRICES, key=self.valid_from, reverse=True):
            self._known.setdefault((price.provider, price.model, price.unit_kind), []).append(price)

    def valid_from(self, price: Price) -> datetime:
        return self._span.founded if price.month is None else self._span.months[price.month]

    def used(self, work: Work) -> dict[str, Price]:
        """The price in force of each kind of unit."""
        return {kind: self._in_force(work, kind) for kind in work.units}

    def cost(self, work: Work) -> Decimal:
        """US dollars, rounded once, half away from zero, to six places."""
        used = self.used(work)
        parts = (units * used[kind].usd / used[kind].per_units for kind, units in work.units.items())
        return sum(parts, Decimal(0)).quantize(MICRO, ROUND_HALF_UP)

    def _in_force(self, work: Work, unit_kind: str) -> Price:
        prices = self._known[work.kind.service, work.kind.model, unit_kind]
        return next(price for price in prices if self.valid_from(price) <= work.at)


# A store's history ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Change:
    """A quota that an admin set, of a store or (None) of the company."""

    store: Store | None
    at: datetime
    before: Decimal
    after: Decimal
    reason: str


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A store with everything it did."""

    store: Store
    work: list[Work]
    changes: list[Change]
    projects: list[Row]
    clips: list[Row]
    busiest_month_usd: Decimal

    @property
    def quota(self) -> Decimal:
        return self.changes[-1].after


def build_shop(store: Store, span: Span, book: PriceBook) -> Shop:
    work = _with_spoken_lines(store, list(_daily(store, span)))
    spent = _spent_by_month(work, span, book)
    changes = _budgets(store, spent, span)
    if store.ends != "comfortable":
        quota = _quota_to_show(store, spent[-1])
        wanted = quota if store.ends == "reached" else quota * NEAR_SHARE
        work += _top_up(store, wanted - spent[-1], span, book)
        changes.append(_this_month(store, work, changes[-1].after, quota, span))
    projects = _projects(store, span)
    clips = {project["id"]: list(_clips(store, project, span)) for project in projects}
    return Shop(
        store=store,
        work=[_placed(w, projects, clips) for w in work],
        changes=changes,
        projects=projects,
        clips=_with_every_status([clip for made in clips.values() for clip in made]),
        busiest_month_usd=max(spent),
    )


def _spent_by_month(work: Iterable[Work], span: Span, book: PriceBook) -> list[Decimal]:
    spent = [Decimal(0)] * len(span.months)
    for w in work:
        if w.booked:
            spent[span.month(w.at.date())] += book.cost(w)
    return spent


def _budgets(store: Store, spent: Sequence[Decimal], span: Span) -> list[Change]:
    """The first budget, and more of it while the season's campaign ran; each covered what was spent."""
    room = Decimal("1.6") if store.ends == "comfortable" else Decimal("1.15")
    usual = _up(max((*spent[:PEAK], *spent[PEAK + 1 : -1])) * room, "5")
    season = max(_up(spent[PEAK] * room, "5"), usual + 5)
    day, morning = timedelta(days=1), timedelta(hours=10)
    return [
        Change(store=store, at=span.founded + morning, before=Decimal(0), after=usual, reason="First budget"),
        Change(
            store=store,
            at=span.months[PEAK] - day + morning,
            before=usual,
            after=season,
            reason="Season campaign: more spots a week",
        ),
        Change(
            store=store,
            at=span.months[PEAK + 1] + morning,
            before=season,
            after=usual,
            reason="The season campaign is over",
        ),
    ]


def _quota_to_show(store: Store, spent: Decimal) -> Decimal:
    """A quota in half dollars that this month's spending comes close to, or has passed."""
    if store.ends == "reached":
        return max(_round_to(spent, "0.5", ROUND_FLOOR), Decimal("5.00"))
    return max(_up(spent / NEAR_SHARE, "0.5"), Decimal("6.00"))


def _this_month(store: Store, work: Sequence[Work], before: Decimal, after: Decimal, span: Span) -> Change:
    """A quota that is already passed can only have been lowered after the last paid order."""
    if store.ends == "reached":
        last = max(w.ended for w in work)
        at, reason = last + (span.until - last) / 2, "This month's advertising is done; the rest stays in reserve"
    else:
        at, reason = min(span.this_month + timedelta(hours=8), span.until), "This month's plan, agreed with finance"
    return Change(store=store, at=at, before=before, after=after, reason=reason)


def _top_up(store: Store, short: Decimal, span: Span, book: PriceBook) -> list[Work]:
    """More orders this month until `short` US dollars are spent."""
    rng = _rng(store.code, "top-up", span.this_month)
    orders: list[Work] = []
    while short > 0:
        at = _moment(rng, store, span.this_month, span.until)
        order = _order(rng, ident("top-up", store.code, span.this_month, len(orders)), store, PREMIUM, at)
        orders.append(replace(order, outcome="completed", error=None, ended=min(order.ended, span.until)))
        short -= book.cost(orders[-1])
    return orders


def company_budget(shops: Sequence[Shop], span: Span) -> list[Change]:
    quota = _up(sum((shop.busiest_month_usd for shop in shops), Decimal(0)) * 2, "10")
    return [Change(store=None, at=span.founded, before=Decimal(0), after=quota, reason="Plan of the first year")]


def _up(amount: Decimal, step: str) -> Decimal:
    return _round_to(amount, step, ROUND_CEILING)


def _round_to(amount: Decimal, step: str, rounding: str) -> Decimal:
    steps = (amount / Decimal(step)).to_integral_value(rounding)
    return (steps * Decimal(step)).quantize(Decimal("0.01"))


# Projects and clips -----------------------------------------------------------------------------------------------


def _projects(store: Store, span: Span) -> list[Row]:
    """Two videos and a podcast a month, begun in its first days."""
    rng = _rng(store.code, "projects")
    made = []
    for month, first in enumerate(span.months):
        last = min(first + timedelta(days=4), span.until)
        names = [*rng.sample(VIDEO_NAMES, 2), f"{PODCAST_NAME}, episode {month + 1}"]
        for name in names:
            at = _moment(rng, store, first, last)
            kind = "podcast" if name.startswith(PODCAST_NAME) else "video"
            titled = f"{name}, {first:%B}" if kind == "video" else name
            made.append(_made(store, rng, ident("project", store.code, first, name), at, kind=kind, name=titled))
    return made


def _clips(store: Store, project: Row, span: Span) -> Iterator[Row]:
    """Clips of a project: until the end of its month, or until now."""
    rng = _rng("clips", project["id"])
    _, month_end = span.bounds(span.month(project["created_at"].date()))
    for number, name in enumerate(rng.sample(CLIP_NAMES, rng.randint(6, 10))):
        at = max(_moment(rng, store, project["created_at"], month_end), project["created_at"])
        status = "failed" if rng.random() < 0.06 else "completed"
        seconds = Decimal(rng.randint(8_000, 90_000)) / 1000
        clip = _made(store, rng, ident("clip", project["id"], number), at, name=name, project_id=project["id"])
        clip |= {"final_status": status, "duration_seconds": seconds if status == "completed" else None}
        yield clip | {"version": 1}


def _with_every_status(clips: Sequence[Row]) -> list[Row]:
    """The newest clips are still under way, one has failed."""
    ordered = sorted(clips, key=lambda clip: (clip["created_at"], clip["id"]))
    for clip, status in zip(reversed(ordered), ("pending", "processing", "failed"), strict=False):
        clip |= {"final_status": status, "duration_seconds": None}
    return ordered


def _made(store: Store, rng: random.Random, row_id: UUID, at: datetime, **values: Any) -> Row:
    managers = [person for person in PEOPLE if store.code in person.stores]
    return {
        "id": row_id,
        "account_id": ACCOUNT_ID,
        "profile_id": store.id,
        "created_by": rng.choice(managers).id,
        "created_at": at,
        "updated_at": at,
        **values,
    }


def _placed(work: Work, projects: Sequence[Row], clips: Mapping[UUID, Sequence[Row]]) -> Work:
    """Most work was done for a project of its time, half of that for one of the project's clips."""
    rng = _rng("place", work.id)
    begun = [project for project in projects if project["created_at"] <= work.at][-3:]
    if not begun or rng.random() < 0.2:
        return work
    project = rng.choice(begun)
    there = [clip for clip in clips[project["id"]] if clip["created_at"] <= work.at]
    clip = rng.choice(there) if there and rng.random() < 0.5 else None
    return replace(work, project_id=project["id"], clip_id=clip["id"] if clip else None)


def sign_ins(span: Span) -> Iterator[tuple[datetime, Person]]:
    """Of the last two weeks; who works in no store keeps the hours of London."""
    rng, day = _rng("sign-ins", span.this_month), timedelta(days=1)
    for person in PEOPLE:
        home = next((store for store in STORES if store.code in person.stores), STORES[1])
        for ago in range(1, 15):
            if rng.random() < 0.7:
                yield _moment(rng, home, span.until - ago * day, span.until - (ago - 1) * day), person
