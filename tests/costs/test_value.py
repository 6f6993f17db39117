"""What published clips cost, which paid audio nobody has heard, and what reuse saved, against plain sums."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.costs import value
from services.costs.value import Value
from services.errors import AppError, InvalidInput, NotFound
from tests.builders import World
from tests.costs.till import Till, item

D = Decimal
NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=40)
EVER = (date(2000, 1, 1), NOW.date())


@dataclass
class Studio:
    """A company's stores making clips and speech; purchases and entries as the product writes them."""

    till: Till
    admin: UUID
    costs: dict[UUID, Decimal] = field(default_factory=dict)  # of purchases

    @property
    def world(self) -> World:
        return self.till.world

    def clip(self, speech: UUID | None = None, name: str = "Clip", till: Till | None = None) -> UUID:
        store = (till or self.till).store
        return self.world.clip(store, self.world.project(store), name=name, speech_id=speech)

    def work(self, clip: UUID, usd: str) -> None:
        """An entry that names the clip."""
        self.till.settle(self.till.hold(usd), item(usd, clip_id=str(clip)))

    def buy(self, job: UUID, usd: str, place: int, till: Till, made: datetime, clip: UUID | None = None) -> UUID:
        purchase = uuid4()
        till.settle(till.hold(usd, p_job_id=job), item(usd, id=str(purchase), clip_id=str(clip) if clip else None))
        self.costs[purchase] = D(usd)
        self._passage(job, purchase, purchase, place, till, made, state="settled", cost_usd=D(usd))
        return purchase

    def speech(
        self, *bought: str, reused: Sequence[UUID] = (), made: datetime = LONG_AGO, till: Till | None = None,
        clip: UUID | None = None, text: str = "Fresh bread at six.",
    ) -> tuple[UUID, list[UUID]]:  # fmt: skip
        """Speech with passages bought for these amounts and some bought before; `clip`: what it was ordered for."""
        till = till or self.till
        job = self.world.job("speech", till.store, status="completed")
        purchases = [self.buy(job, usd, place, till, made, clip) for place, usd in enumerate(bought)]
        for place, origin in enumerate(reused, len(bought)):
            self._passage(job, uuid4(), origin, place, till, made, state="reused", saved_usd=self.costs[origin])
        asset = uuid4()
        self.world.insert(
            "public.speech_assets", id=asset, account_id=till.account, profile_id=till.store, job_id=job, text=text,
            content_hash=str(asset), provider="practice", model="premium", voice="v", settings={}, format="mp3",
            characters=9, duration_seconds=1, bytes=1, media_path=f"{asset}.mp3", cost_usd=sum(map(D, bought), D(0)),
            created_at=made,
        )  # fmt: skip
        return asset, purchases

    def _passage(
        self, job: UUID, purchase: UUID, audio: UUID, place: int, till: Till, made: datetime, **values: Any
    ) -> None:
        self.world.insert(
            "public.purchases", id=purchase, account_id=till.account, profile_id=till.store, job_id=job, place=place,
            provider="practice", model="premium", voice="v", part_hash=f"part-{audio}", characters=9,
            units_expected=9, exact=True, media_path=f"{audio}.wav", created_at=made, **values,
        )  # fmt: skip

    def post(self, clip: UUID, at: datetime, state: str = "published", till: Till | None = None) -> None:
        """A post of the clip; if it is live, since `at`."""
        till, bundle = till or self.till, uuid4()
        whose = {"account_id": till.account, "profile_id": till.store, "clip_id": clip}
        self.world.insert("public.bundles", id=bundle, **whose)
        self.world.insert(
            "public.publications", id=uuid4(), bundle_id=bundle, channel="c", name="Instagram", identifier="instagram",
            state=state, published_at=at if state == "published" else None, **whose,
        )  # fmt: skip

    def ask(self, first: date = EVER[0], last: date = EVER[1], store: UUID | None = None, who: UUID | None = None
            ) -> Value:  # fmt: skip
        return value.ask(self.world.as_person(who or self.admin), self.till.account, store, first, last)


@pytest.fixture
def studio(open_till: Callable[..., Till], world: World) -> Studio:
    world.set_clock(NOW)
    till = open_till()
    return Studio(till, world.person(till.account, "admin"))


def costs(found: Value) -> dict[UUID, tuple[Decimal, Decimal]]:
    """What each clip's own entries and its speech cost."""
    return {line.key: (line.own_usd, line.speech_usd) for line in found.clips}


class TestPublishedClips:
    def test_a_clip_costs_its_own_entries_and_its_speech_exactly(self, studio: Studio):
        speech, _ = studio.speech("1.000001", "0.25")
        clip, other = studio.clip(speech), studio.clip()
        studio.work(clip, "0.000003")
        studio.work(other, "0.5")  # never published: counts for nothing here
        studio.post(clip, LONG_AGO)
        found = studio.ask()
        assert costs(found) == {clip: (D("0.000003"), D("1.250001"))}
        assert (found.clips_count, found.usd, found.per_clip) == (1, D("1.250004"), D("1.250004"))
        assert found.seq == studio.world.value(
            "select max(seq) from public.cost_entries where account_id = %s", studio.till.account
        )

    def test_the_mean_is_rounded_once_half_away_from_zero(self, studio: Studio):
        for usd in ("0.000001", "0.000002"):
            clip = studio.clip()
            studio.work(clip, usd)
            studio.post(clip, LONG_AGO)
        assert studio.ask().per_clip == D("0.000002")  # of 0.0000015

    def test_all_live_posts_count_and_nothing_but_live_ones(self, studio: Studio):
        clip = studio.clip()
        for state in ("published", "published", "failed", "scheduled", "unconfirmed", "draft"):
            studio.post(clip, LONG_AGO, state)
        studio.post(studio.clip(), LONG_AGO, "scheduled")
        (line,) = studio.ask().clips
        assert (line.key, line.posts) == (clip, 2)

    def test_only_clips_whose_first_live_post_is_in_the_range(self, studio: Studio):
        midnight = datetime(2026, 11, 1, tzinfo=UTC)
        early, first, last, late = (studio.clip() for _ in range(4))
        for clip, at in (
            (early, midnight - timedelta(seconds=1)),
            (early, midnight),
            (first, midnight),
            (last, midnight + timedelta(days=1, seconds=-1)),
            (late, midnight + timedelta(days=1)),
        ):
            studio.post(clip, at)  # fmt: skip
        assert costs(studio.ask(midnight.date(), midnight.date())).keys() == {first, last}

    def test_an_entry_that_names_the_clip_is_not_counted_again_with_the_speech(self, studio: Studio):
        clip = studio.clip()
        speech, _ = studio.speech("2", clip=clip)
        studio.world.execute("update public.clips set speech_id = %s where id = %s", speech, clip)
        studio.post(clip, LONG_AGO)
        assert costs(studio.ask()) == {clip: (D(2), D(0))}

    def test_speech_ordered_for_a_clip_that_is_not_live_counts_where_it_is(self, studio: Studio):
        ordered_for = studio.clip()
        speech, _ = studio.speech("2", clip=ordered_for)
        clip = studio.clip(speech)
        studio.post(clip, LONG_AGO)
        assert costs(studio.ask()) == {clip: (D(0), D(2))}
        studio.post(ordered_for, LONG_AGO)
        assert costs(studio.ask()) == {clip: (D(0), D(0)), ordered_for: (D(2), D(0))}

    def test_speech_on_several_clips_counts_for_the_first_that_went_live(self, studio: Studio):
        speech, _ = studio.speech("3")
        late, early, never = studio.clip(speech), studio.clip(speech), studio.clip(speech)
        studio.post(early, LONG_AGO)
        studio.post(late, LONG_AGO + timedelta(days=2))
        assert costs(studio.ask()) == {early: (D(0), D(3)), late: (D(0), D(0))}
        assert never not in costs(studio.ask())
        after = (LONG_AGO + timedelta(days=1)).date()
        assert costs(studio.ask(after)) == {late: (D(0), D(0))}, "paid for once, whatever range is asked for"

    def test_reused_passages_count_with_the_first_clip_that_has_them(self, studio: Studio):
        draft, (one, two) = studio.speech("1", "2")
        final, _ = studio.speech("4", reused=[one, two, two])
        clip = studio.clip(final)
        studio.post(clip, LONG_AGO)
        assert costs(studio.ask()) == {clip: (D(0), D(7))}
        studio.post(studio.clip(draft), LONG_AGO - timedelta(days=1))
        assert costs(studio.ask())[clip] == (D(0), D(4))

    def test_speech_without_purchases_costs_what_it_says(self, studio: Studio):
        """As the demo company's history is loaded."""
        speech, _ = studio.speech()
        studio.world.execute("update public.speech_assets set cost_usd = 1.5 where id = %s", speech)
        clip = studio.clip(speech)
        studio.post(clip, LONG_AGO)
        assert costs(studio.ask()) == {clip: (D(0), D("1.5"))}

    def test_stores_are_compared_and_the_dearest_clips_come_first(self, studio: Studio):
        beside = Studio(studio.till.beside(name="Dock"), studio.admin)
        for made, amounts in ((studio, ("1", "3")), (beside, ("0.5",))):
            for usd in amounts:
                clip = made.clip()
                made.work(clip, usd)
                made.post(clip, LONG_AGO)
        found = studio.ask()
        assert [line.usd for line in found.clips] == [D(3), D(1), D("0.5")]
        assert {line.key: (line.clips, line.usd, line.per_clip) for line in found.stores} == {
            studio.till.store: (2, D(4), D(2)), beside.till.store: (1, D("0.5"), D("0.5")),
        }  # fmt: skip
        assert studio.ask(store=beside.till.store).usd == D("0.5")

    def test_a_deleted_clip_stays_in_the_account(self, studio: Studio):
        clip = studio.clip(name="Gone")
        studio.work(clip, "1")
        studio.post(clip, LONG_AGO)
        studio.world.execute("update public.clips set deleted_at = now() where id = %s", clip)
        (line,) = studio.ask().clips
        assert (line.name, line.deleted, line.usd) == ("Gone", True, D(1))

    def test_more_than_a_hundred_are_summed_though_a_hundred_are_listed(self, studio: Studio):
        for _ in range(value.MOST_LINES + 1):
            studio.post(studio.clip(), LONG_AGO)
        found = studio.ask()
        assert (found.clips_count, len(found.clips)) == (value.MOST_LINES + 1, value.MOST_LINES)


class TestNeverPublished:
    def listed(self, found: Value) -> dict[UUID, Decimal]:
        assert found.unpublished.count == len(found.unpublished.speech)
        assert found.unpublished.usd == sum((line.usd for line in found.unpublished.speech), D(0))
        return {line.key: line.usd for line in found.unpublished.speech}

    def test_paid_speech_on_no_clip_the_dearest_first(self, studio: Studio):
        cheap, _ = studio.speech("0.1", text="Cheap")
        dear, _ = studio.speech("1", "0.000001", text="x" * 200)
        studio.speech()  # free
        assert list(self.listed(studio.ask()).items()) == [(dear, D("1.000001")), (cheap, D("0.1"))]
        assert [line.text for line in studio.ask().unpublished.speech] == ["x" * 160, "Cheap"]

    @pytest.mark.parametrize(
        ("state", "waits"),
        [("draft", True), ("awaiting_approval", True), ("failed", True), ("missed", True), ("cancelled", True),
         ("uploading", False), ("uploaded", False), ("sending", False), ("scheduled", False), ("unconfirmed", False),
         ("published", False)],
    )  # fmt: skip
    def test_on_a_clip_it_is_used_once_a_post_is_on_its_way(self, studio: Studio, state: str, waits: bool):
        speech, _ = studio.speech("1")
        clip = studio.clip(speech)
        (line,) = studio.ask().unpublished.speech
        assert (line.on_clip, line.usd) == (True, D(1))
        studio.post(clip, LONG_AGO, state)
        assert (speech in self.listed(studio.ask())) == waits

    def test_what_is_younger_than_a_week_may_still_be_published(self, studio: Studio):
        old, _ = studio.speech("1", made=NOW - timedelta(days=7, seconds=1))
        studio.speech("2", made=NOW - timedelta(days=7) + timedelta(seconds=1))
        assert self.listed(studio.ask()) == {old: D(1)}

    def test_only_of_the_range(self, studio: Studio):
        studio.speech("1", made=datetime(2026, 9, 30, 23, 59, tzinfo=UTC))
        october, _ = studio.speech("2", made=datetime(2026, 10, 1, tzinfo=UTC))
        assert self.listed(studio.ask(date(2026, 10, 1), date(2026, 10, 31))) == {october: D(2)}

    def test_passages_that_a_published_speech_reuses_are_heard(self, studio: Studio):
        draft, (one, _) = studio.speech("1", "2")
        final, _ = studio.speech("4", reused=[one])
        studio.post(studio.clip(final), LONG_AGO)
        assert self.listed(studio.ask()) == {draft: D(2)}


class TestSavings:
    def test_by_month_and_store_as_the_voice_page_says_it(self, studio: Studio):
        beside = studio.till.beside()
        _, (one, two) = studio.speech("1.5", "0.000001")
        studio.speech(reused=[one, two], made=datetime(2026, 10, 31, 23, 59, tzinfo=UTC))
        studio.speech(reused=[one], made=NOW)
        _, (third,) = studio.speech("7", till=beside)
        studio.speech(reused=[third], made=NOW, till=beside)
        found = studio.ask()
        assert [(line.month.month, line.key, line.passages, line.usd) for line in found.savings] == [
            (11, beside.store, 1, D(7)), (11, studio.till.store, 1, D("1.5")),
            (10, studio.till.store, 2, D("1.500001")),
        ]  # fmt: skip
        assert found.saved == D("10.000001")
        said = studio.world.as_person(studio.admin).call("speech_saved", p_profile_id=studio.till.store)
        assert studio.ask(NOW.date().replace(day=1), store=studio.till.store).saved == said == D("1.5")


class TestWhoSeesWhat:
    @pytest.fixture
    def both(self, studio: Studio) -> tuple[Studio, Studio, UUID]:
        """Two stores with the same; the manager works in the first."""
        beside = Studio(studio.till.beside(), studio.admin)
        for made in (studio, beside):
            _, (passage,) = made.speech("1")
            made.speech(reused=[passage])
            made.post(made.clip(), LONG_AGO)
        return studio, beside, studio.world.person(studio.till.account, "manager", studio.till.store)

    def test_a_manager_sees_own_stores_only(self, both: tuple[Studio, Studio, UUID]):
        studio, beside, manager = both
        found = studio.ask(who=manager)
        assert {line.profile_id for line in found.clips} == {studio.till.store}
        assert {line.key for line in found.stores} == {studio.till.store}
        assert {line.profile_id for line in found.unpublished.speech} == {studio.till.store}
        assert {line.key for line in found.savings} == {studio.till.store}
        with pytest.raises(NotFound):
            studio.ask(who=manager, store=beside.till.store)

    @pytest.mark.parametrize("role", ["finance", "admin"])
    def test_finance_and_admins_see_all(self, both: tuple[Studio, Studio, UUID], role: str):
        studio, beside, _ = both
        found = studio.ask(who=studio.world.person(studio.till.account, role))
        assert {line.key for line in found.stores} == {studio.till.store, beside.till.store}
        assert found.unpublished.usd == found.saved == D(2)

    def test_strangers_find_nothing_and_nobody_may_ask(self, both: tuple[Studio, Studio, UUID]):
        studio = both[0]
        with pytest.raises(NotFound):
            studio.ask(who=studio.world.person(None))
        other = studio.world.company()
        with pytest.raises(NotFound):
            studio.ask(who=studio.world.person(other, "admin"))
        with pytest.raises(AppError):
            value.ask(studio.world.doors.anonymous(), studio.till.account, None, *EVER)

    def test_a_range_backwards_is_refused_and_an_empty_one_is_empty(self, studio: Studio):
        with pytest.raises(InvalidInput):
            studio.ask(date(2026, 2, 1), date(2026, 1, 1))
        found = studio.ask(date(1900, 1, 1), date(2150, 1, 1))
        assert (found.clips, found.savings, found.per_clip, found.unpublished.count) == ([], [], None, 0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_entry_counts_once_whatever_was_reused(studio: Studio, seed: int):
    """Against the definition, piece by piece: a piece of paid audio is heard in some live clips; one of them pays."""
    rng = random.Random(seed)
    clips = [studio.clip() for _ in range(8)]
    live = {clip: LONG_AGO + timedelta(hours=rng.randrange(20)) for clip in clips if rng.random() < 0.7}
    speeches: dict[UUID, set[UUID]] = {}  # its audio
    ordered_for: dict[UUID, UUID | None] = {}
    for _ in range(10):
        known = [piece for pieces in speeches.values() for piece in pieces]
        reused = rng.sample(known, min(len(known), rng.randrange(4)))
        bought = [f"0.{rng.randrange(1, 999999):06}" for _ in range(rng.randrange(4))]
        clip = rng.choice([*clips, None, None, None])
        speech, purchases = studio.speech(*bought, reused=reused, clip=clip)
        speeches[speech] = {*purchases, *reused}
        ordered_for |= dict.fromkeys(purchases, clip)
    on = {clip: rng.choice([*speeches, None]) for clip in clips}
    for clip, speech in on.items():
        studio.world.execute("update public.clips set speech_id = %s where id = %s", speech, clip)
    for clip, at in live.items():
        studio.post(clip, at)

    def pays(piece: UUID) -> UUID | None:
        if ordered_for[piece] in live:
            return ordered_for[piece]
        heard = [(live[clip], clip) for clip in live if piece in speeches.get(on[clip], ())]
        return min(heard)[1] if heard else None

    expected = dict.fromkeys(live, D(0))
    for piece, usd in studio.costs.items():
        if payer := pays(piece):
            expected[payer] += usd
    found = studio.ask()
    assert {line.key: line.usd for line in found.clips} == expected
    unheard = _unheard(studio.costs, (speeches.get(on[clip], set()) for clip in live))
    assert found.unpublished.usd == unheard


def _unheard(costs: dict[UUID, Decimal], heard: Iterable[set[UUID]]) -> Decimal:
    known = set[UUID]().union(*heard)
    return sum((usd for piece, usd in costs.items() if piece not in known), D(0))
