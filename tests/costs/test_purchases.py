"""Purchases of passages: every state, every way back, each call booked once, and never a cent past the quota."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from services.errors import (
    AttemptLost,
    Conflict,
    InvalidInput,
    ModelPaused,
    NotAllowed,
    NotFound,
    PriceMissing,
    PurchaseUnclear,
    QuotaExceeded,
)
from tests import kill
from tests.builders import World, speech
from tests.costs.conftest import OpenTill
from tests.costs.till import Till

D = Decimal
LONG_AGO = datetime(2026, 3, 10, 12, tzinfo=UTC)
USD = D("0.001")  # a unit
TEXT = "x" * 1000  # a dollar at a unit a character
VENDOR = {"provider": "elevenlabs", "model": "eleven_flash", "voice": "hannah"}


@dataclass
class Desk:
    """A store of one company that speaks with a vendor's account, its people, and a worker at one job."""

    till: Till
    manager: UUID
    admin: UUID
    job: dict[str, Any] = field(default_factory=dict)

    def order(self, *chunks: str, **values: Any) -> UUID:
        job_id = uuid4()
        words = speech(" ".join(chunks), **{**VENDOR, "chunks": list(chunks), **values})
        self.person.call("enqueue_speech", p_job_id=job_id, p_profile_id=self.till.store, p_speech=words)
        return job_id

    @property
    def person(self) -> Any:
        return self.till.world.as_person(self.manager)

    @property
    def boss(self) -> Any:
        return self.till.world.as_person(self.admin)

    def quote(self, *chunks: str, **values: Any) -> dict[str, Any]:
        words = speech(" ".join(chunks), **{**VENDOR, "chunks": list(chunks), **values})
        answer: dict[str, Any] = self.person.call("speech_quote", p_profile_id=self.till.store, p_speech=words)
        return answer

    def retry(self) -> "Desk":
        """A person's retry of the job that failed, and this desk at its next attempt."""
        self.person.call("retry_job", p_job_id=self.job["p_job_id"])
        return self.claim(self.job["p_job_id"])

    def confirm_price(self, reason: str | None = "The vendor's list says so") -> None:
        paused = {"p_account_id": self.till.account, "p_provider": "elevenlabs", "p_model": "eleven_flash"}
        self.boss.call("confirm_price", **paused, p_reason=reason)

    def claim(self, job_id: UUID) -> "Desk":
        """This desk at an attempt of its own at that job."""
        token = uuid4()
        self.till.world.execute(
            "update public.jobs set status = 'running', attempt = attempt + 1, attempt_token = %s,"
            " lease_until = now() + interval '1 minute' where id = %s",
            token,
            job_id,
        )
        return Desk(self.till, self.manager, self.admin, {"p_job_id": job_id, "p_attempt_token": token})

    def ordered(self, *chunks: str, **values: Any) -> "Desk":
        return self.claim(self.order(*(chunks or (TEXT,)), **values))

    # What a worker says ----------------------------------------------------------------------------------------

    def begin(self, place: int = 0) -> dict[str, Any]:
        answer: dict[str, Any] = self.till.worker.call("begin_purchase", **self.job, p_place=place)
        return answer

    def send(self, purchase: dict[str, Any], seconds: int = 60) -> None:
        self.till.worker.call("send_purchase", **self.job, p_purchase_id=purchase["id"], p_seconds=seconds)

    def sent(self, place: int = 0, seconds: int = 60) -> dict[str, Any]:
        purchase = self.begin(place)
        self.send(purchase, seconds)
        return self.look(purchase)

    def settle(
        self, purchase: dict[str, Any], units: Any = 1000, vendor_id: str | None = None, path: str | None = "part.mp3",
        recovered: bool = False,
    ) -> Decimal:  # fmt: skip
        values = {"p_purchase_id": purchase["id"], "p_units": D(units), "p_vendor_id": vendor_id, "p_media_path": path}
        return D(self.till.worker.call("settle_purchase", **values, p_recovered=recovered))

    def refuse(self, purchase: dict[str, Any], absent: bool = False) -> None:
        values = {"p_purchase_id": purchase["id"], "p_error": "No.", "p_absent": absent}
        self.till.worker.call("refuse_purchase", **values)

    def unclear(self, purchase: dict[str, Any]) -> None:
        self.till.worker.call("unclear_purchase", p_purchase_id=purchase["id"], p_error="Who knows.")

    def spoil(self, purchase: dict[str, Any]) -> None:
        self.till.worker.call("spoil_purchase", p_purchase_id=purchase["id"], p_error="Silence.")

    def fail(self) -> None:
        self.till.worker.call("fail_job", **self.job, p_error="Failed.", p_retry_seconds=None)

    def save(self) -> None:
        made = {"id": str(uuid4()), "media_path": f"{uuid4()}.mp3", "duration_seconds": "1", "bytes": 1}
        self.till.worker.call("save_speech", **self.job, p_speech=made)

    def speak(self, units: Any = 1000) -> Decimal:
        """Buy and save the one passage of the job; returns its cost."""
        cost = self.settle(self.sent(), units)
        self.save()
        return cost

    # Facts -----------------------------------------------------------------------------------------------------

    def look(self, purchase: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self.till.worker.call("purchase", p_purchase_id=purchase["id"])
        return answer

    def booked(self) -> list[str]:
        return [str(row["id"]) for row in self.till.entries()]

    def money(self) -> tuple[Decimal, Decimal, Decimal]:
        """Settled, held and overrun dollars of the store, after a look whether all sums agree."""
        assert self.till.differences() == []
        return self.till.counter()

    def open_holds(self) -> list[Decimal]:
        """Estimates of the store's holds that are not over, the smallest first."""
        query = (
            "select estimate_usd from public.cost_holds where profile_id = %s and state in ('reserved', 'committed')"
            " order by estimate_usd"
        )
        return [row["estimate_usd"] for row in self.till.world.rows(query, self.till.store)]

    def rate(self) -> Decimal | None:
        found = self.till.world.rows("select rate from public.voice_rates where account_id = %s", self.till.account)
        return found[0]["rate"] if found else None


OpenDesk = Callable[..., Desk]


@pytest.fixture
def open_desk(open_till: OpenTill) -> OpenDesk:
    """Open a store with a quota; `multiplier` of its voice: None = the vendor does not say, but 3 at most."""

    def opened(quota: str = "10", multiplier: str | None = "1", price: str | None = "1", company: str = "0") -> Desk:
        till = open_till(quota, company)
        if price is not None:
            till.world.price(till.account, "elevenlabs", "eleven_flash", price)
        models = {"eleven_flash": {"id": "eleven_flash", "multiplier": "1", "dearest": "3"}}
        voice = {"id": "hannah", "name": "Hannah", "language": "en", "description": "", "multiplier": multiplier}
        till.worker.call(
            "save_voices", p_account_id=till.account, p_provider="elevenlabs",
            p_service={"readiness": "ready", "message": "Ready", "models": models}, p_voices=[voice],
        )  # fmt: skip
        people = [till.world.person(till.account, role, till.store) for role in ("manager", "admin")]
        return Desk(till, *people)

    return opened


@pytest.fixture
def desk(open_desk: OpenDesk) -> Desk:
    return open_desk()


# The way to the ledger --------------------------------------------------------------------------------------


def test_a_passage_goes_from_intent_over_sent_to_settled(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.begin()
    assert (purchase["state"], purchase["units_expected"], purchase["exact"]) == ("intent", "1000.000000", True)
    assert desk.money() == (0, 1, 0)
    at.send(purchase, seconds=60)
    sent = at.look(purchase)
    assert (sent["state"], sent["rivals"]) == ("sent", False)
    assert 0 < sent["seconds_left"] <= 60
    assert desk.till.state(UUID(purchase["request_id"])) == "committed"
    assert at.settle(purchase, "998.5", "item-1", "speech/part.mp3") == D("0.9985")
    settled = at.look(purchase)
    assert (settled["state"], settled["cost_usd"], settled["units_billed"]) == ("settled", "0.998500", "998.500000")
    assert (settled["vendor_id"], settled["media_path"]) == ("item-1", "speech/part.mp3")
    assert (desk.booked(), desk.money()) == ([purchase["id"]], (D("0.9985"), 0, 0))


def test_the_entry_says_what_was_spoken_for_whom(desk: Desk) -> None:
    at = desk.ordered("Fresh bread.", "Warm rolls.")
    purchase = [at.sent(0), at.sent(1)][1]
    at.settle(purchase, 11)
    (row,) = desk.till.entries()
    assert (str(row["id"]), row["user_id"], row["job_id"]) == (purchase["id"], desk.manager, at.job["p_job_id"])
    assert (row["operation"], row["model"], row["units"]) == ("tts", "eleven_flash", {"characters": 11})
    preview = "select details ->> 'preview' from public.cost_entry_details where entry_id = %s"
    assert desk.till.world.value(preview, row["id"]) == "Warm rolls."


def test_whoever_begins_again_gets_the_purchase_that_is_there(desk: Desk) -> None:
    at = desk.ordered()
    first = at.begin()
    assert at.begin()["id"] == first["id"]
    assert desk.claim(at.job["p_job_id"]).begin()["id"] == first["id"]
    assert desk.money() == (0, 1, 0)


def test_a_passage_is_sent_once(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.sent()
    at.send(purchase)  # the same attempt asks again when the answer got lost
    desk.till.world.execute("update public.purchases set sent_by = gen_random_uuid() where id = %s", purchase["id"])
    with pytest.raises(Conflict, match="sent before"):
        at.send(purchase)
    at.settle(purchase)
    with pytest.raises(Conflict, match="sent before"):
        at.send(purchase)
    assert at.look(purchase)["state"] == "settled"


def test_settling_twice_books_once_and_the_first_answer_stays(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.sent()
    assert at.settle(purchase, 1000, "item-1", None) == 1
    assert at.settle(purchase, 5, "item-2", "late.mp3") == 1
    settled = at.look(purchase)
    assert (settled["vendor_id"], settled["units_billed"]) == ("item-1", "1000.000000")
    assert settled["media_path"] == "late.mp3", "the file that was missing was written meanwhile"
    at.settle(purchase, 5, "item-2", "later.mp3")
    assert at.look(purchase)["media_path"] == "late.mp3"
    assert desk.money() == (1, 0, 0)


def test_settling_by_eight_at_once_books_once(desk: Desk) -> None:
    at = desk.ordered()
    purchase, together = at.sent(), Barrier(8)

    def settle(number: int) -> Decimal:
        together.wait(20)
        return at.settle(purchase, 1000, f"item-{number}", recovered=number % 2 == 0)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(settle, range(8))) == [1] * 8
    assert (desk.booked(), desk.money()) == ([purchase["id"]], (1, 0, 0))


def test_beginning_by_eight_at_once_makes_one_purchase_of_each_passage(desk: Desk) -> None:
    at, together = desk.ordered("x" * 400, "y" * 600), Barrier(8)

    def begin(number: int) -> str:
        together.wait(20)
        return str(at.begin(number % 2)["id"])

    with ThreadPoolExecutor(8) as threads:
        begun = list(threads.map(begin, range(8)))
    assert len(set(begun)) == 2
    assert desk.money() == (0, 1, 0)


def test_an_old_attempt_begins_and_sends_nothing_but_may_tell_what_it_bought(desk: Desk) -> None:
    old = desk.ordered()
    purchase = old.sent()
    desk.claim(old.job["p_job_id"])
    with pytest.raises(AttemptLost):
        old.begin()
    with pytest.raises(AttemptLost):
        old.send(purchase)
    assert old.settle(purchase) == 1
    assert desk.money() == (1, 0, 0)


def test_unknown_purchases_and_passages_are_refused(desk: Desk) -> None:
    at, nothing = desk.ordered(), {"id": str(uuid4())}
    with pytest.raises(NotFound):
        at.settle(nothing)
    with pytest.raises(NotFound):
        at.refuse(nothing)
    for tell in (at.unclear, at.spoil):
        tell(nothing)
    with pytest.raises(InvalidInput, match="no such passage"):
        at.begin(1)
    assert at.look(nothing) is None
    assert desk.money() == (0, 1, 0)


def test_units_below_0_are_refused_and_the_money_stays_held(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.sent()
    with pytest.raises(InvalidInput, match="six decimals"):
        at.settle(purchase, "-1")
    assert (at.look(purchase)["state"], desk.money()) == ("sent", (0, 1, 0))


def test_units_with_more_decimals_than_are_kept_are_rounded_and_booked(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.sent()
    at.settle(purchase, "1000.000000000000001")
    assert (at.look(purchase)["state"], desk.money()) == ("settled", (1, 0, 0))


# Refused, and bought after all ------------------------------------------------------------------------------


def test_after_a_refusal_another_purchase_uses_the_same_hold(desk: Desk) -> None:
    at = desk.ordered()
    first = at.sent()
    at.refuse(first)
    assert at.look(first)["state"] == "refused"
    second = at.begin()
    assert (second["id"] != first["id"], second["request_id"]) == (True, first["request_id"])
    assert desk.money() == (0, 1, 0)
    at.send(second)
    assert at.settle(second) == 1
    at.save()
    assert (desk.booked(), desk.money()) == ([second["id"]], (1, 0, 0))


def test_refusing_what_was_bought_changes_nothing(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.sent()
    at.settle(purchase)
    at.refuse(purchase)
    at.unclear(purchase)
    assert (at.look(purchase)["state"], desk.money()) == ("settled", (1, 0, 0))


def test_a_refusal_after_the_job_s_end_frees_the_money(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.sent()
    at.fail()
    assert desk.money() == (0, 1, 0), "the call may still be billed"
    at.refuse(purchase)
    at.refuse(purchase)
    assert desk.money() == (0, 0, 0)


def test_a_job_s_end_refuses_what_was_not_sent(desk: Desk) -> None:
    at = desk.ordered("x" * 400, "y" * 600)
    bought, meant = at.sent(0), at.begin(1)
    at.settle(bought, 400)
    at.fail()
    assert [at.look(one)["state"] for one in (bought, meant)] == ["settled", "refused"]
    assert desk.money() == (D("0.4"), 0, 0)


def test_a_late_answer_of_a_refused_purchase_is_booked(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.sent()
    at.fail()
    at.refuse(purchase, absent=True)
    assert at.settle(purchase, 1000, "item-1", recovered=True) == 1
    assert (at.look(purchase)["state"], desk.booked()) == ("recovered", [purchase["id"]])
    assert desk.money()[:2] == (1, 0)


def test_a_late_answer_and_the_purchase_in_its_place_are_both_booked(desk: Desk) -> None:
    at = desk.ordered()
    first = at.sent()
    at.refuse(first, absent=True)
    second = at.sent()
    at.settle(first, 1000, "item-1", recovered=True)
    at.settle(second, 1000, "item-2")
    at.save()
    assert sorted(desk.booked()) == sorted([first["id"], second["id"]])
    assert desk.money()[:2] == (2, 0)


def test_money_for_a_call_under_way_stays_held_when_an_older_one_turns_up(desk: Desk) -> None:
    at = desk.ordered()
    first = at.sent()
    at.refuse(first, absent=True)
    at.sent()
    at.settle(first, 1000, "item-1", recovered=True)
    assert desk.money()[:2] == (1, 1)


def test_lost_calls_are_found_after_their_deadline_and_absences_for_a_day(desk: Desk) -> None:
    def lost(grace: int = 30) -> list[str]:
        found = desk.till.worker.call("lost_purchases", p_grace_seconds=grace)
        return [row["id"] for row in found if row["account_id"] == str(desk.till.account)]

    at = desk.ordered()
    purchase = at.sent(seconds=60)
    at.fail()
    move = "update public.purchases set deadline = now() - make_interval(secs => %s) where id = %s"
    assert lost() == []
    desk.till.world.execute(move, 29, purchase["id"])
    assert lost() == []
    desk.till.world.execute(move, 31, purchase["id"])
    assert lost() == [purchase["id"]]
    at.refuse(purchase, absent=True)
    assert lost() == [purchase["id"]], "a vendor may be late"
    desk.till.world.execute(
        "update public.purchases set absent_at = now() - interval '25 hours' where id = %s", purchase["id"]
    )
    assert lost() == []


def test_every_lost_call_gets_its_turn_however_many_stay_open(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.sent()
    at.fail()
    late = "update public.purchases set deadline = now() - interval '1 hour' where id = %s"
    desk.till.world.execute(late, purchase["id"])
    desk.till.world.execute(
        "insert into public.purchases select (jsonb_populate_record(p, jsonb_build_object("
        " 'id', gen_random_uuid(), 'state', case n %% 2 when 0 then 'sent' else 'refused' end,"
        " 'absent_at', case n %% 2 when 1 then now() end))).*"
        " from public.purchases p cross join generate_series(1, 250) n where p.id = %s",
        purchase["id"],
    )
    pages, after = [], {}
    while page := desk.till.worker.call("lost_purchases", p_grace_seconds=30, **after):
        pages.append([row for row in page if row["account_id"] == str(desk.till.account)])
        last = page[-1]
        after = {"p_after_absent": last["state"] == "refused", "p_after_at": last["created_at"],
                 "p_after_id": last["id"]}  # fmt: skip
        assert len(page) <= 100
    seen = [row for page in pages for row in page]
    assert len({row["id"] for row in seen}) == len(seen) == 251
    assert [row["state"] for row in seen] == ["sent"] * 126 + ["refused"] * 125, "held money first"


# The same words twice in one order --------------------------------------------------------------------------


A, B = "a" * 400, "b" * 600


def test_a_passage_that_an_order_says_twice_is_estimated_as_it_is_bought(desk: Desk) -> None:
    quote = desk.quote(A, B, A, A)
    assert (D(quote["estimate"]), quote["passages"], quote["characters"], quote["bought"]) == (1, 4, 1800, 0)
    at = desk.ordered(A, B, A, A)
    for place in range(4):
        purchase = at.begin(place)
        if purchase["state"] == "intent":
            at.send(purchase)
            at.settle(purchase, len((A, B)[place]), path=f"part-{place}.mp3")
    assert desk.money() == (D(quote["estimate"]), 0, 0)
    quote = desk.quote(A, B, A, A)
    assert (D(quote["estimate"]), quote["bought"], D(quote["saved"])) == (0, 4, D("1.8"))


def test_the_month_needs_room_for_it_once(open_desk: OpenDesk) -> None:
    desk = open_desk("1")
    with pytest.raises(QuotaExceeded):
        desk.order(A, B, A, "c")
    at = desk.ordered(A, B, A)
    assert desk.money() == (0, D("0.4"), 0)
    at.settle(at.sent(0), 400)
    at.settle(at.sent(1), 600)
    assert at.begin(2)["state"] == "reused"
    assert desk.money() == (1, 0, 0)


def test_a_retry_counts_a_repeated_passage_while_its_first_was_not_bought(open_desk: OpenDesk) -> None:
    desk = open_desk("1")
    at = desk.ordered(A, B, A)
    at.refuse(at.sent(0))
    at.fail()
    assert desk.money() == (0, 0, 0)
    again = at.retry()
    assert desk.money() == (0, D("0.4"), 0)
    again.settle(again.sent(0), 400)
    assert again.begin(2)["state"] == "reused"


def test_an_attempt_under_way_looks_after_its_own_lost_call(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.sent(seconds=-100)
    assert purchase["id"] not in [r["id"] for r in desk.till.worker.call("lost_purchases", p_grace_seconds=30)]


def test_calls_for_the_same_words_are_rivals_while_they_may_be_answered(desk: Desk) -> None:
    first, second = desk.ordered(), desk.ordered(format="wav")
    one = first.sent()
    other = second.begin()
    assert (first.look(one)["rivals"], second.look(other)["rivals"]) == (False, True)
    second.send(other, seconds=60)
    assert first.look(one)["rivals"]
    desk.till.world.execute("update public.purchases set deadline = now() where id = %s", other["id"])
    assert not first.look(one)["rivals"]


# The vendor's ids -------------------------------------------------------------------------------------------


def test_an_answer_at_the_vendor_is_claimed_once(desk: Desk) -> None:
    first, second = desk.ordered(), desk.ordered(format="wav")
    mine, other = first.sent(), second.sent()
    first.settle(mine, 1000, "item-1")
    with pytest.raises(Conflict, match="belongs to another"):
        second.settle(other, 1000, "item-1", recovered=True)
    assert (second.look(other)["state"], desk.money()) == ("sent", (1, 1, 0))
    second.settle(other, 1000, "item-1")
    assert (second.look(other)["state"], second.look(other)["vendor_id"]) == ("settled", None)
    assert desk.money() == (1, 0, 0), "one bill is booked once, whoever it turns out to belong to"


def test_another_company_s_ids_are_not_ours(open_desk: OpenDesk) -> None:
    for desk in (open_desk(), open_desk()):
        at = desk.ordered()
        purchase = at.sent()
        at.settle(purchase, 1000, "item-1", recovered=True)
        assert at.look(purchase)["vendor_id"] == "item-1"
        since = {"p_account_id": desk.till.account, "p_provider": "elevenlabs", "p_since": datetime.now(UTC)}
        assert desk.till.worker.call("claimed_vendor_ids", **since) == ["item-1"]
        later = since | {"p_since": datetime.now(UTC) + timedelta(days=2)}
        assert desk.till.worker.call("claimed_vendor_ids", **later) == []


def test_of_eight_that_claim_one_answer_at_once_one_gets_it(desk: Desk) -> None:
    desks = [desk.ordered(f"{number}" + "x" * 999) for number in range(8)]
    sent, together = [at.sent() for at in desks], Barrier(8)

    def claim(number: int) -> bool:
        together.wait(20)
        try:
            desks[number].settle(sent[number], 1000, "item-1", recovered=True)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sorted(threads.map(claim, range(8))) == [False] * 7 + [True]
    assert desk.money() == (1, 7, 0)


# Kept and reused --------------------------------------------------------------------------------------------


def test_a_passage_that_the_store_has_bought_costs_nothing_again(desk: Desk) -> None:
    desk.ordered(TEXT).speak()
    at = desk.ordered(TEXT, "y" * 500)
    assert desk.money() == (1, D("0.5"), 0)
    reused = at.begin(0)
    assert (reused["state"], reused["media_path"], reused["saved_usd"]) == ("reused", "part.mp3", "1.000000")
    at.settle(at.sent(1), 500)
    at.save()
    (asset,) = desk.till.world.rows("select * from public.speech_assets where job_id = %s", at.job["p_job_id"])
    assert (asset["cost_usd"], asset["saved_usd"]) == (D("0.5"), 1)
    assert desk.money() == (D("1.5"), 0, 0)
    assert desk.person.call("speech_saved", p_profile_id=desk.till.store) == 1


def test_another_store_s_passages_are_not_reused(desk: Desk) -> None:
    desk.ordered().speak()
    beside = Desk(desk.till.beside("10"), desk.admin, desk.admin)
    at = beside.ordered()
    assert at.begin()["state"] == "intent"
    assert beside.money()[1] == 1


def test_what_was_held_for_a_passage_bought_meanwhile_is_freed_at_the_end(desk: Desk) -> None:
    first, second = desk.ordered(), desk.ordered(format="wav")
    assert desk.money() == (0, 2, 0)
    first.speak()
    assert second.begin()["state"] == "reused"
    second.save()
    assert desk.money() == (1, 0, 0)


def test_a_spoilt_passage_is_bought_anew(desk: Desk) -> None:
    at = desk.ordered()
    spoilt = at.sent()
    at.settle(spoilt)
    at.spoil(spoilt)
    assert (at.look(spoilt)["state"], at.look(spoilt)["media_path"]) == ("settled", None)
    assert (desk.booked(), desk.money()[0]) == ([spoilt["id"]], 1)
    assert at.begin()["id"] != spoilt["id"]
    assert desk.ordered(format="wav").begin()["state"] == "intent"


def test_only_what_was_bought_can_be_spoilt(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.sent()
    at.spoil(purchase)
    assert (at.look(purchase)["state"], at.look(purchase)["again_at"]) == ("sent", None)


def test_what_was_bought_is_quoted_ordered_and_reused_for_nothing_while_its_model_is_paused(desk: Desk) -> None:
    desk.ordered().speak(2500)
    quote = desk.quote(TEXT)
    assert (quote["bought"], quote["estimate"], quote["saved"]) == (1, "0", "2.500000")
    at = desk.ordered(format="wav")
    reused = at.begin()
    assert (reused["state"], reused["media_path"]) == ("reused", "part.mp3")
    at.save()
    assert desk.money() == (D("2.5"), 0, D("1.5"))
    for ask in (desk.quote, desk.order):
        with pytest.raises(ModelPaused):
            ask(TEXT, "y" * 10)


@pytest.mark.parametrize("lost", ["the service", "the model", "the price"])
def test_what_was_bought_is_reused_whatever_its_vendor_does_now(desk: Desk, lost: str) -> None:
    desk.ordered().speak(998)
    change = {
        "the service": "delete from public.voice_services where account_id = %s",
        "the model": "update public.voice_services set models = '{}' where account_id = %s",
        "the price": "delete from public.prices where account_id = %s and provider = 'elevenlabs'",
    }
    desk.till.world.execute(change[lost], desk.till.account)
    quote = desk.quote(TEXT)
    assert (quote["estimate"], quote["saved"], quote["exact"]) == ("0", "0.998000", True)
    at = desk.ordered(format="wav")
    assert (at.begin()["state"], at.begin()["saved_usd"]) == ("reused", "0.998000")
    at.save()
    assert desk.money() == (D("0.998"), 0, 0)
    with pytest.raises((Conflict, InvalidInput, PriceMissing)):
        desk.order("y" * 10)


def test_an_intent_left_behind_is_not_bought_where_the_store_has_bought_the_passage_since(desk: Desk) -> None:
    stopped, other = desk.ordered(), desk.ordered(format="wav")
    left = stopped.begin()
    other.speak()
    again = desk.claim(stopped.job["p_job_id"])
    assert again.begin()["state"] == "reused"
    assert again.look(left)["state"] == "refused"
    again.save()
    assert desk.money() == (1, 0, 0)


# Prices that turn out to be others --------------------------------------------------------------------------


def test_a_bill_above_what_was_announced_pauses_the_model_until_an_admin_confirms(desk: Desk) -> None:
    at, waiting = desk.ordered(), desk.ordered("y" * 1000)
    assert at.settle(at.sent(), 2500) == D("2.5")
    at.save()
    assert desk.money() == (D("2.5"), 1, D("1.5"))

    with pytest.raises(ModelPaused, match="announced 1000 units for a passage and billed 2500"):
        waiting.begin()
    with pytest.raises(ModelPaused):
        desk.order("z" * 10)
    with pytest.raises(ModelPaused):
        desk.quote("z" * 10)

    desk.confirm_price()
    assert desk.rate() == D("2.5")
    assert waiting.begin()["units_expected"] == "2500.000000"
    desk.order("z" * 100)
    held = "select estimate_usd from public.cost_holds where profile_id = %s order by occurred_at desc limit 1"
    assert desk.till.world.value(held, desk.till.store) == D("0.25")
    with pytest.raises(Conflict, match="not paused"):
        desk.confirm_price("Again")


def test_a_pause_is_the_model_s_own(desk: Desk) -> None:
    at = desk.ordered()
    at.settle(at.sent(), 1001)
    assert desk.order("Fresh bread.", provider="practice", model="premium", voice="premium")
    assert desk.till.world.value("select count(*) from public.model_pauses where id = %s", at.begin()["id"]) == 1


def test_exactly_what_was_announced_pauses_nothing(desk: Desk) -> None:
    desk.ordered().speak(1000)
    assert (desk.rate(), desk.order("y" * 10) is not None) == (None, True)


def test_only_an_admin_confirms_and_says_why(desk: Desk) -> None:
    at = desk.ordered()
    at.settle(at.sent(), 1001)
    confirm = {"p_account_id": desk.till.account, "p_provider": "elevenlabs", "p_model": "eleven_flash"}
    with pytest.raises(NotAllowed):
        desk.person.call("confirm_price", **confirm, p_reason="x")
    with pytest.raises(NotFound):
        stranger(desk).call("confirm_price", **confirm, p_reason="x")
    for reason in ("", "  ", None):
        with pytest.raises(InvalidInput) as caught:
            desk.confirm_price(reason)
        assert caught.value.field == "reason"
    with pytest.raises(ModelPaused):
        desk.order("z")


def stranger(desk: Desk) -> Any:
    """An admin of another company."""
    world = desk.till.world
    return world.as_person(world.person(world.company("Rival"), "admin"))


def test_an_unknown_multiplier_is_held_at_the_dearest_and_learned_from_the_bill(open_desk: OpenDesk) -> None:
    desk = open_desk(multiplier=None)
    at = desk.ordered()
    assert desk.money() == (0, 3, 0)
    purchase = at.begin()
    assert (purchase["units_expected"], purchase["exact"]) == ("3000.000000", False)
    at.send(purchase)
    at.settle(purchase, 1500)
    at.save()
    assert (desk.rate(), desk.money()) == (D("1.5"), (D("1.5"), 0, 0))
    assert desk.ordered("y" * 1000).begin()["units_expected"] == "1500.000000"
    assert desk.money() == (D("1.5"), D("1.5"), 0)


def test_a_learned_rate_that_is_lower_does_not_have_a_job_hold_twice(open_desk: OpenDesk) -> None:
    """What the job holds already covers the passage, so a full month is no reason to refuse it."""
    desk = open_desk(quota="3.3", multiplier=None)
    short, long = desk.ordered("x" * 100), desk.ordered("y" * 1000)
    assert desk.money() == (0, D("3.3"), 0)
    short.speak(100)
    assert desk.rate() == 1
    assert long.speak(1000) == 1
    assert desk.money() == (D("1.1"), 0, 0)


def risen(desk: Desk, waiting: Desk) -> Desk:
    """A bill of 2,500 for 1,000 units, confirmed while another job waits."""
    desk.ordered().speak(2500)
    with pytest.raises(ModelPaused):
        waiting.begin()
    desk.confirm_price()
    return waiting


@pytest.mark.parametrize("limits", [{"quota": "5"}, {"quota": "0", "company": "5"}])
def test_a_risen_rate_that_fits_exactly_is_not_refused_for_what_the_job_holds_itself(
    open_desk: OpenDesk, limits: dict[str, str]
) -> None:
    desk = open_desk(**limits)
    at = risen(desk, desk.ordered("y" * 1000))
    assert desk.open_holds() == [1]
    purchase = at.begin()
    assert (purchase["units_expected"], desk.open_holds()) == ("2500.000000", [D("2.5")])
    at.send(purchase)
    at.settle(purchase, 2500)
    at.save()
    assert desk.money() == (5, 0, D("1.5"))


def test_a_risen_rate_that_does_not_fit_is_refused_and_the_job_keeps_what_it_held(open_desk: OpenDesk) -> None:
    desk = open_desk(quota="4.99")
    at = risen(desk, desk.ordered("y" * 1000))
    with pytest.raises(QuotaExceeded) as caught:
        at.begin()
    assert caught.value.refusal
    assert (caught.value.refusal.held, caught.value.refusal.shortfall) == (0, D("0.01"))
    assert desk.open_holds() == [1]
    at.fail()
    assert desk.money() == (D("2.5"), 0, D("1.5"))


def test_making_room_for_a_dearer_passage_leaves_what_calls_under_way_hold(desk: Desk) -> None:
    at = desk.ordered("y" * 1000, "z" * 1000)
    under_way = at.sent(0)
    meant = at.begin(1)
    risen(desk, desk.ordered("w" * 10))
    assert desk.open_holds() == [D("0.01"), 1, 1]
    assert at.begin(1)["id"] != meant["id"]
    assert desk.open_holds() == [D("0.01"), 1, D("2.5")]
    assert desk.till.state(UUID(under_way["request_id"])) == "committed"


def test_an_intent_left_behind_is_begun_anew_at_the_risen_rate(desk: Desk) -> None:
    stopped = desk.ordered("y" * 1000)
    left = stopped.begin()
    desk.ordered().speak(2500)
    with pytest.raises(ModelPaused):
        stopped.send(left)
    assert stopped.look(left)["state"] == "intent"
    desk.confirm_price()
    again = desk.claim(stopped.job["p_job_id"])
    purchase = again.begin()
    assert (purchase["units_expected"], again.look(left)["state"]) == ("2500.000000", "refused")
    again.send(purchase)
    again.settle(purchase, 2500)
    again.save()
    assert desk.money() == (5, 0, D("1.5")), "no second overrun"


def test_a_call_that_was_sent_may_be_told_again_while_its_model_is_paused(desk: Desk) -> None:
    at = desk.ordered("y" * 1000)
    purchase = at.sent()
    desk.ordered(format="wav").till.world.pause(desk.till.account, "elevenlabs", "eleven_flash")
    at.send(purchase)
    assert at.look(purchase)["state"] == "sent"


def test_a_hold_taken_at_a_dearer_price_is_not_used_for_more_than_it_covers(desk: Desk) -> None:
    """A bill is booked at the price of its hold's instant: half the price since then does not make it last twice."""
    at = desk.ordered("x" * 500, "y" * 1000)
    price = {"p_provider": "elevenlabs", "p_model": "eleven_flash", "p_unit_kind": "characters", "p_per_units": 1000}
    desk.boss.call("set_price", p_account_id=desk.till.account, **price, p_usd=D("0.5"), p_reason="Cheaper")
    desk.ordered("x" * 500, format="wav").speak(500)
    assert at.begin(0)["state"] == "reused"
    assert at.settle(at.sent(1), 1000) == D("0.5")
    at.save()
    assert desk.money() == (D("0.75"), 0, 0)


def test_a_bill_that_comes_while_a_price_is_confirmed_stays_to_be_confirmed(desk: Desk) -> None:
    first, second = desk.ordered(), desk.ordered("y" * 1000)
    late = second.sent()
    first.speak(2500)
    known = {"account_id": desk.till.account, "provider": "elevenlabs", "model": "eleven_flash", "voice": "hannah"}
    desk.till.world.insert("public.voice_rates", **known, rate=1)
    with psycopg.connect(desk.till.world.url) as reader, ThreadPoolExecutor(1) as thread:
        reader.execute("select from public.voice_rates where account_id = %s for update", (desk.till.account,))
        confirmed = thread.submit(desk.confirm_price)
        blocked = "select count(*) from pg_stat_activity where %s = any (pg_blocking_pids(pid))"
        kill.wait_until(lambda: desk.till.world.value(blocked, reader.info.backend_pid), "it waits for the rate")
        second.settle(late, 4000)
        reader.rollback()
        confirmed.result(20)
    assert desk.rate() == D("2.5")
    with pytest.raises(ModelPaused, match="billed 4000"):
        desk.order("z")
    desk.confirm_price()
    assert desk.rate() == 4


def test_confirming_a_call_begun_before_the_last_rise_lowers_no_rate(desk: Desk) -> None:
    first, second = desk.ordered(), desk.ordered("y" * 1000)
    late = second.sent()
    first.speak(2500)
    desk.confirm_price()
    second.settle(late, 1200)
    desk.confirm_price()
    assert desk.rate() == D("2.5")


# What people decide -----------------------------------------------------------------------------------------


def left_unclear(desk: Desk) -> tuple[Desk, dict[str, Any]]:
    """A failed job, and its purchase of which nobody can tell."""
    at = desk.ordered()
    purchase = at.sent()
    at.unclear(purchase)
    at.fail()
    assert (at.look(purchase)["state"], desk.money()) == ("unclear", (0, 1, 0))
    return at, purchase


def decide(person: Any, purchase: dict[str, Any], billed: bool, reason: str | None = "The invoice") -> None:
    person.call("decide_purchase", p_purchase_id=purchase["id"], p_billed=billed, p_reason=reason)


@pytest.mark.parametrize(("billed", "state", "settled"), [(True, "settled", 1), (False, "refused", 0)])
def test_an_admin_decides_and_a_retry_buys_the_passage_anew(desk: Desk, billed: bool, state: str, settled: int) -> None:
    at, purchase = left_unclear(desk)
    decide(desk.boss, purchase, billed)
    decided = at.look(purchase)
    assert (decided["state"], decided["decided_by"], decided["decided_reason"]) == (
        state, str(desk.admin), "The invoice",
    )  # fmt: skip
    assert desk.money() == (settled, 0, 0)
    with pytest.raises(Conflict, match="not unclear any more"):
        decide(desk.boss, purchase, not billed)
    desk.person.call("retry_job", p_job_id=at.job["p_job_id"])
    again = desk.claim(at.job["p_job_id"])
    again.speak()
    assert desk.money() == (settled + 1, 0, 0)


def test_managers_and_strangers_decide_nothing_and_a_reason_is_needed(desk: Desk) -> None:
    at, purchase = left_unclear(desk)
    with pytest.raises(NotAllowed):
        decide(desk.person, purchase, True)
    with pytest.raises(NotFound):
        decide(stranger(desk), purchase, True)
    for reason in ("", " ", None):
        with pytest.raises(InvalidInput):
            decide(desk.boss, purchase, False, reason)
    assert (at.look(purchase)["state"], desk.money()) == ("unclear", (0, 1, 0))


def test_what_was_decided_as_billed_teaches_no_rate(open_desk: OpenDesk) -> None:
    """Nobody has seen the bill: the dearest that was announced is no knowledge about the voice."""
    desk = open_desk(multiplier=None)
    at = desk.ordered()
    purchase = at.sent()
    at.unclear(purchase)
    at.fail()
    decide(desk.boss, purchase, True)
    assert desk.money() == (3, 0, 0)
    assert desk.rate() is None


def test_an_unclear_job_is_bought_again_only_by_a_click_and_the_old_call_stays_open(desk: Desk) -> None:
    at, purchase = left_unclear(desk)
    with pytest.raises(PurchaseUnclear):
        desk.person.call("retry_job", p_job_id=at.job["p_job_id"])
    with pytest.raises(NotFound):
        stranger(desk).call("buy_again", p_job_id=at.job["p_job_id"])
    desk.person.call("buy_again", p_job_id=at.job["p_job_id"])
    assert desk.money() == (0, 2, 0), "the old call may still turn out to be billed"
    with pytest.raises(Conflict):
        desk.person.call("buy_again", p_job_id=at.job["p_job_id"])
    again = desk.claim(at.job["p_job_id"])
    assert again.begin()["id"] != purchase["id"]
    again.speak()
    assert desk.money() == (1, 1, 0)
    assert at.look(purchase)["state"] == "unclear"
    decide(desk.boss, purchase, True)
    assert desk.money() == (2, 0, 0)


def test_nothing_is_bought_while_a_passage_is_unclear(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.sent()
    at.unclear(purchase)
    assert (at.begin()["id"], at.begin()["state"]) == (purchase["id"], "unclear")
    with pytest.raises(Conflict):
        at.send(purchase)


def test_an_answer_that_turns_up_ends_what_was_unclear(desk: Desk) -> None:
    at, purchase = left_unclear(desk)
    at.settle(purchase, 1000, "item-1", recovered=True)
    assert (at.look(purchase)["state"], desk.money()) == ("recovered", (1, 0, 0))
    with pytest.raises(Conflict):
        decide(desk.boss, purchase, False)


@pytest.mark.parametrize("limits", [{"quota": "2"}, {"quota": "0", "company": "2"}])
def test_a_retry_holds_nothing_again_for_a_call_that_is_still_under_way(
    open_desk: OpenDesk, limits: dict[str, str]
) -> None:
    desk = open_desk(**limits)
    at = desk.ordered("x" * 1000, "y" * 1000)
    lost = at.sent(0)
    at.fail()
    again = at.retry()
    assert desk.open_holds() == [1, 1]
    assert again.begin(0)["id"] == lost["id"]
    again.settle(lost, 1000, "item-1", recovered=True)
    again.settle(again.sent(1), 1000, "item-2")
    again.save()
    assert desk.money() == (2, 0, 0)


def test_a_call_under_way_that_turns_out_not_to_have_been_made_is_held_before_it_is_bought(open_desk: OpenDesk) -> None:
    desk = open_desk(quota="2")
    at = desk.ordered("x" * 1000, "y" * 1000)
    lost = at.sent(0)
    at.fail()
    again = at.retry()
    again.refuse(lost, absent=True)
    assert desk.open_holds() == [1]
    for place in (0, 1):
        purchase = again.begin(place)
        assert D(desk.money()[1]) == 1
        again.send(purchase)
        again.settle(purchase, 1000)
    again.save()
    assert desk.money() == (2, 0, 0)


def test_a_retry_whose_calls_are_all_under_way_holds_nothing_even_while_the_model_is_paused(desk: Desk) -> None:
    at = desk.ordered()
    lost = at.sent()
    at.fail()
    desk.till.world.pause(desk.till.account, "elevenlabs", "eleven_flash")
    again = at.retry()
    assert desk.open_holds() == [1]
    again.settle(lost, 1000, "item-1", recovered=True)
    again.save()
    assert desk.money() == (1, 0, 0)


def test_a_retry_holds_for_what_a_person_had_bought_again_or_what_was_spoilt(desk: Desk) -> None:
    at, unclear = left_unclear(desk)
    desk.person.call("buy_again", p_job_id=at.job["p_job_id"])
    assert desk.open_holds() == [1, 1]
    again = desk.claim(at.job["p_job_id"])
    spoilt = again.sent()
    again.settle(spoilt)
    again.spoil(spoilt)
    again.fail()
    again.retry()
    assert desk.open_holds() == [1, 1], "one for the unclear call, one for the passage"
    assert again.look(unclear)["state"] == "unclear"


def test_a_postponed_job_keeps_its_money_and_its_attempt(desk: Desk) -> None:
    at = desk.ordered()
    at.sent()
    desk.till.worker.call("postpone_job", **at.job, p_seconds=5, p_message="Waiting for an answer")
    columns = "select status, attempt, message from public.jobs where id = %s"
    (row,) = desk.till.world.rows(columns, at.job["p_job_id"])
    assert row == {"status": "pending", "attempt": 0, "message": "Waiting for an answer"}
    assert desk.money() == (0, 1, 0)
    with pytest.raises(AttemptLost):
        at.begin()


def test_a_postponed_job_that_was_cancelled_meanwhile_ends(desk: Desk) -> None:
    at = desk.ordered()
    purchase = at.begin()
    desk.person.call("cancel_job", p_job_id=at.job["p_job_id"])
    desk.till.worker.call("postpone_job", **at.job, p_seconds=5, p_message="Waiting")
    assert (at.look(purchase)["state"], desk.money()) == ("refused", (0, 0, 0))


# The month's money ------------------------------------------------------------------------------------------


def many_orders(desk: Desk, count: int = 20, first: int = 0) -> list[UUID]:
    """Order that many texts of a thousand characters at once; returns the jobs of those that were granted."""
    together = Barrier(count)

    def order(number: int) -> UUID | None:
        together.wait(20)
        try:
            return desk.order(f"{number:04d}" + "x" * 996)
        except QuotaExceeded:
            return None

    with ThreadPoolExecutor(count) as threads:
        return [job for job in threads.map(order, range(first, first + count)) if job]


@pytest.mark.parametrize("limits", [{"quota": "20"}, {"quota": "0", "company": "20"}])
def test_twenty_orders_at_once_that_fit_exactly_are_all_granted(open_desk: OpenDesk, limits: dict[str, str]) -> None:
    desk = open_desk(**limits)
    granted = many_orders(desk)
    assert len(granted) == 20
    assert many_orders(desk, first=100) == []
    for job in granted:
        assert desk.claim(job).speak() == 1
    assert desk.money() == (20, 0, 0)


def test_with_an_unknown_multiplier_never_too_many_are_granted_and_all_once_it_is_learned(
    open_desk: OpenDesk,
) -> None:
    desk = open_desk(quota="20", multiplier=None)
    granted = many_orders(desk)
    assert len(granted) == 6, "held at the dearest, 3: six of them fit"
    for job in granted:
        assert desk.claim(job).speak() == 1
    assert (desk.rate(), desk.money()) == (1, (6, 0, 0))
    later = many_orders(desk, first=100)
    assert len(later) == 14
    for job in later:
        assert desk.claim(job).speak() == 1
    assert desk.money() == (20, 0, 0)
    assert many_orders(desk, count=2, first=200) == []


def test_without_a_price_all_are_refused_and_nothing_is_held(open_desk: OpenDesk) -> None:
    desk = open_desk(price=None)
    for number in range(20):
        with pytest.raises(PriceMissing):
            desk.order(f"{number}" + TEXT)
    assert desk.till.world.value("select count(*) from public.jobs where profile_id = %s", desk.till.store) == 0
    assert desk.money() == (0, 0, 0)


def test_an_order_whose_whole_does_not_fit_is_refused_before_anything_is_bought(open_desk: OpenDesk) -> None:
    desk = open_desk(quota="2.5")
    with pytest.raises(QuotaExceeded) as caught:
        desk.order(*(letter * 1000 for letter in "abc"))
    assert caught.value.refusal
    assert (caught.value.refusal.estimate, caught.value.refusal.shortfall) == (3, D("0.5"))
    assert desk.money() == (0, 0, 0)
    at = desk.ordered("a" * 1000, "b" * 1000)
    assert desk.money() == (0, 1, 0)
    assert [at.settle(at.sent(place)) for place in (0, 1)] == [1, 1]
    at.save()
    assert desk.money() == (2, 0, 0)


def test_a_passage_of_another_month_is_held_in_that_month(world: World, open_desk: OpenDesk) -> None:
    world.set_clock(LONG_AGO)
    desk = open_desk()
    job = desk.order("a" * 1000)
    world.set_clock(LONG_AGO + timedelta(days=30))
    at = desk.claim(job)
    world.execute("update public.jobs set lease_until = private.utc_now() + interval '1 hour' where id = %s", job)
    at.settle(at.sent(), 1000)
    at.save()
    assert desk.till.counter(LONG_AGO.date().replace(day=1)) == (0, 0, 0)
    assert desk.money() == (1, 0, 0)
