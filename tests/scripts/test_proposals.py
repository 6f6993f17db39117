"""What one call to a writer offers: ordered with its hold, bought once, filed where it belongs."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.database.embedded import Server
from services.errors import (
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    PriceMissing,
    QuotaExceeded,
    Unavailable,
)
from services.jobs import queue
from services.media.folder import Folder
from services.scripts import calls, proposals
from services.scripts.calls import File, Taken
from services.scripts.phases import Draft
from services.scripts.writer import Answer, Request
from services.speech import reconcile
from tests.builders import World
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini_wire import Turn
from tests.scripts.newsroom import MODEL, Newsroom, draft

WANTED = {"prompt": "A loaf at dawn"}


@pytest.fixture
def room(world: World, server: Server, folder: Folder, fake: FakeGemini) -> Newsroom:
    return Newsroom.open(world, server, folder, fake)


def clip(room: Newsroom) -> UUID:
    """A clip of the store; its project is its only one."""
    return room.world.clip(room.store, room.world.project(room.store))


def order(room: Newsroom, made: UUID | None = None, **changes: Any) -> UUID:
    values = {"kind": "cover", "profile_id": room.store, "model": MODEL, "wanted": WANTED, "clip_id": clip(room)}
    return proposals.order(room.door, made or uuid4(), **{**values, **changes})


def answer_once(context: Any) -> None:
    """A handler that asks for words and files them."""
    proposal = proposals.ordered(context)
    request = Request(model=proposal.model, prompt=str(proposal.wanted["prompt"]), answer_schema=Draft)

    def take(answer: Answer[Draft]) -> Taken:
        if answer.parsed is None:
            return Taken(None, "This is no use.")
        path = f"covers/{proposal.account_id}/{proposal.profile_id}/{proposal.id}.txt"
        return Taken({"title": answer.parsed.title}, file=File(path, b"words"))

    proposals.buy(context, proposal, request, take, {"preview": "12 frames", "frames_analyzed": 12})
    proposals.finish(context)


def test_an_answer_is_bought_once_and_filed_under_clip_project_and_person(room: Newsroom) -> None:
    room.fake.say(draft())
    made = order(room)
    assert room.work(answer_once)["status"] == "completed"
    found = proposals.get(room.door, made)
    (entry,) = room.world.rows("select * from public.cost_entries")
    assert (entry["operation"], entry["category"], entry["job_id"]) == ("cover_image", "image", made)
    assert (entry["clip_id"], entry["project_id"]) == (found.clip_id, found.project_id)
    assert entry["user_id"] == room.manager
    assert (found.status, found.output, found.cost_usd) == ("completed", {"title": "Bread"}, entry["cost_usd"])
    (kept,) = room.world.rows("select details from public.cost_entry_details")
    assert kept["details"] == {"preview": "12 frames", "frames_analyzed": 12}
    assert room.folder.read(f"covers/{room.account}/{room.store}/{made}.txt") == b"words"
    assert room.world.money_differences() == []
    assert proposals.find(room.door, "cover", clip_id=found.clip_id) == [found]


def test_the_same_order_again_is_the_same_and_another_under_its_id_is_refused(room: Newsroom) -> None:
    made, on = uuid4(), clip(room)
    order(room, made, clip_id=on)
    order(room, made, clip_id=on)
    assert len(room.world.rows("select from public.cost_holds")) == 1
    with pytest.raises(Conflict):
        order(room, made, clip_id=on, wanted={"prompt": "Another"})


def test_its_price_is_known_before(room: Newsroom) -> None:
    quoted = proposals.quote(room.door, room.store, "cover", MODEL)
    assert quoted.largest == Decimal("0.75") * 10_000 / 10**6 + Decimal("3.75") * 4_096 / 10**6
    assert (quoted.typical, quoted.known) == (None, 0)
    room.fake.say(draft())
    order(room)
    (held,) = room.world.rows("select estimate_usd from public.cost_holds")
    assert held["estimate_usd"] == quoted.largest
    room.work(answer_once)
    (entry,) = room.world.rows("select cost_usd from public.cost_entries")
    again = proposals.quote(room.door, room.store, "cover", MODEL)
    assert (again.typical, again.known) == (entry["cost_usd"], 1)
    with pytest.raises(PriceMissing):
        proposals.quote(room.door, room.store, "cover", "gemini-3.1-flash-image")


def test_an_answer_that_is_no_use_is_billed_said_and_bought_again_by_a_retry_only(room: Newsroom) -> None:
    room.fake.say(Turn("not JSON"))
    made = order(room)
    ended = room.work(answer_once)
    assert (ended["status"], ended["error"]) == ("failed", "This is no use.")
    found = proposals.get(room.door, made)
    assert (found.status, found.error, found.output) == ("failed", "This is no use.", None)
    assert found.cost_usd > 0
    room.fake.say(draft())
    queue.retry(room.door, made)
    assert room.work(answer_once)["status"] == "completed"
    assert len(room.fake.bill) == 2
    assert room.world.money_differences() == []


def test_an_answer_that_could_not_be_booked_is_drained_with_its_file(room: Newsroom) -> None:
    room.fake.say(draft())
    made = order(room)

    def away(*_: Any) -> None:
        raise Unavailable

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "_settle", away)
        assert room.work(answer_once)["status"] == "pending"
    assert reconcile.drain(room.world.as_worker(), room.folder, room.options.spool_folder) == 1
    assert room.folder.read(f"covers/{room.account}/{room.store}/{made}.txt") == b"words"
    assert proposals.get(room.door, made).output == {"title": "Bread"}
    room.time_passes()
    assert room.work(answer_once)["status"] == "completed"
    assert len(room.fake.bill) == 1


def test_a_month_that_is_spent_refuses_before_anything_is_bought(world: World, server: Server, folder: Folder,
                                                                 fake: FakeGemini) -> None:  # fmt: skip
    room = Newsroom.open(world, server, folder, fake, quota="0.01")
    with pytest.raises(QuotaExceeded):
        order(room)
    assert room.world.rows("select from public.proposals") == []


def test_who_may_order(room: Newsroom) -> None:
    on = clip(room)
    finance = room.world.as_person(room.world.person(room.account, "finance"))
    stranger = room.world.as_person(room.world.person(room.world.company(), "admin"))
    for door, refusal in ((finance, NotAllowed), (stranger, NotFound), (room.world.doors.anonymous(), NotAllowed)):
        with pytest.raises(refusal):
            proposals.order(door, uuid4(), "cover", room.store, MODEL, WANTED, clip_id=on)
    beside = room.world.store(room.account)
    with pytest.raises(NotFound):
        order(room, clip_id=room.world.clip(beside, room.world.project(beside)))
    with pytest.raises(NotFound):
        order(room, clip_id=None)
    with pytest.raises(InvalidInput):
        order(room, kind="captions", clip_id=None, project_id=room.world.project(room.store))
    with pytest.raises(InvalidInput):
        order(room, wanted={"prompt": "x" * 30_000})
    made = order(room)
    assert proposals.get(finance, made).id == made
    with pytest.raises(NotFound):
        proposals.get(stranger, made)
