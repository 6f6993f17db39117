"""What people do with posts: by the right person, a stranger and nobody, and when things changed meanwhile."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.database.door import Database
from services.errors import AppError, Conflict, InvalidInput, NotAllowed, NotFound, StoreSuspended
from services.publishing import posts
from services.publishing.posts import Words
from tests.builders import World
from tests.publishing.shop import Shop, connect, pin, ready_clip, shop, soon


@pytest.fixture
def place(shared_world: World) -> Shop:
    return shop(shared_world)


def words(place: Shop, *channels: str, caption: str = "Fresh bread at six.") -> list[Words]:
    return [Words(channel=channel, caption=caption) for channel in channels or place.channels]


def order(place: Shop, **extra: object) -> UUID:
    return posts.order(place.door, place.store, place.clip, words(place), soon(), **extra).id  # type: ignore[arg-type]  # keyword arguments of one call


def test_a_draft_stays_a_draft_until_it_is_ordered(place: Shop) -> None:
    saved = posts.save_draft(place.door, place.store, place.clip, words(place))
    assert set(place.state(saved.id).values()) == {"draft"}
    (draft,) = posts.desk(place.door, place.store).drafts
    assert (draft.id, draft.wanted_at, draft.version) == (saved.id, None, saved.version)
    assert {p.caption for p in draft.publications} == {"Fresh bread at six."}

    wanted = soon()
    posts.order(place.door, place.store, place.clip, words(place), wanted, bundle_id=saved.id, version=saved.version)
    desk = posts.desk(place.door, place.store)
    assert desk.drafts == []
    assert {p.state for p in desk.publications} == {"uploading"}
    assert {p.wanted_at for p in desk.publications} == {wanted}
    assert desk.count("wanted") == 3
    assert desk.count("live") == 0


def test_now_is_three_minutes_ahead(place: Shop) -> None:
    before = datetime.now(UTC)
    saved = posts.order(place.door, place.store, place.clip, words(place), None)
    assert saved.wanted_at is not None
    assert timedelta(minutes=3) <= saved.wanted_at - before <= timedelta(minutes=3, seconds=30)


@pytest.mark.parametrize(("minutes", "field"), [(-5, "wanted_at"), (1, "wanted_at"), (60 * 24 * 800, "wanted_at")])
def test_a_moment_that_cannot_be_is_refused_beside_its_field(place: Shop, minutes: int, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        posts.order(place.door, place.store, place.clip, words(place), soon(minutes))
    assert refused.value.field == field
    assert posts.desk(place.door, place.store).publications == []


def test_a_draft_may_keep_a_moment_that_is_past(place: Shop) -> None:
    posts.save_draft(place.door, place.store, place.clip, words(place), soon(-60))
    assert len(posts.desk(place.door, place.store).drafts) == 1


def test_only_channels_that_are_pinned_to_this_store(place: Shop, shared_world: World) -> None:
    neighbour = shop(shared_world, place.account, credential=place.credential)
    for channels in (neighbour.channels, [*place.channels, neighbour.channels[0]], ["made-up"], []):
        with pytest.raises((Conflict, InvalidInput)):
            posts.order(place.door, place.store, place.clip, [Words(channel=c) for c in channels], soon())
    with pytest.raises(InvalidInput):
        posts.order(place.door, place.store, place.clip, words(place, place.channels[0], place.channels[0]), soon())
    assert shared_world.value("select count(*) from public.bundles where profile_id = %s", place.store) == 0


def test_a_channel_of_an_account_that_is_not_used_any_more_is_refused(place: Shop, shared_world: World) -> None:
    own = connect(shared_world, place.account, place.store)
    with pytest.raises(Conflict, match="not pinned"):
        order(place)
    pinned = pin(shared_world, place.account, place.store, own, "threads")
    saved = posts.order(place.door, place.store, place.clip, words(place, pinned), soon())
    assert shared_world.value("select credential_id from public.bundles where id = %s", saved.id) == own


def test_without_an_account_nothing_is_ordered(place: Shop, shared_world: World) -> None:
    shared_world.execute("update public.profile_credentials set enabled = false where id = %s", place.credential)
    with pytest.raises(InvalidInput, match="No Postiz account"):
        order(place)


def test_a_clip_of_another_store_or_a_deleted_one_is_not_found(place: Shop, shared_world: World) -> None:
    neighbour = shop(shared_world, place.account, credential=place.credential)
    deleted = ready_clip(shared_world, place.store, deleted_at=datetime.now(UTC))
    for clip in (neighbour.clip, deleted, uuid4()):
        with pytest.raises(NotFound):
            posts.order(place.door, place.store, clip, words(place), soon())


def test_a_clip_that_is_not_ready_may_be_drafted_only(place: Shop, shared_world: World) -> None:
    clip = ready_clip(shared_world, place.store, final_status="processing")
    posts.save_draft(place.door, place.store, clip, words(place))
    with pytest.raises(InvalidInput) as refused:
        posts.order(place.door, place.store, clip, words(place), soon())
    assert refused.value.field == "clip"


def test_a_suspended_store_orders_nothing(place: Shop, shared_world: World) -> None:
    shared_world.execute("update public.profiles set suspended_at = now() where id = %s", place.store)
    with pytest.raises(StoreSuspended):
        order(place)


def test_strangers_finance_and_nobody_order_nothing_and_see_nothing(place: Shop, shared_world: World) -> None:
    bundle_id = order(place)
    (publication,) = posts.desk(place.door, place.store, channel=place.channels[0]).publications
    neighbour = shop(shared_world, place.account, credential=place.credential)
    finance = shared_world.as_person(shared_world.person(place.account, "finance"))
    doors = {
        NotFound: [neighbour.door, shared_world.as_person(shared_world.person(None))],
        NotAllowed: [finance],
        AppError: [shared_world.doors.anonymous()],
    }
    for error, people in doors.items():
        for door in people:
            with pytest.raises(error):
                posts.order(door, place.store, place.clip, words(place), soon())
            with pytest.raises(error):
                posts.cancel(door, publication.id)
            with pytest.raises(error):
                posts.delete_draft(door, bundle_id)
            with pytest.raises(error):
                posts.decide(door, publication.id, live=True)
            with pytest.raises(error):
                posts.repeat(door, bundle_id, uuid4(), place.channels)
    assert len(posts.desk(finance, place.store).publications) == 3
    assert posts.desk(neighbour.door, place.store).publications == []
    with pytest.raises(NotFound):
        posts.outlook(neighbour.door, place.store)


def test_what_somebody_changed_meanwhile_is_told(place: Shop) -> None:
    saved = posts.save_draft(place.door, place.store, place.clip, words(place))
    posts.save_draft(
        place.door, place.store, place.clip, words(place, caption="Theirs"), bundle_id=saved.id, version=saved.version
    )
    with pytest.raises(Conflict, match="meanwhile"):
        posts.order(
            place.door, place.store, place.clip, words(place), soon(), bundle_id=saved.id, version=saved.version
        )


def test_the_same_id_twice_makes_one_post(place: Shop) -> None:
    """A click that was repeated because its answer was lost."""
    bundle_id, refused = uuid4(), []

    def click() -> None:
        try:
            posts.order(place.door, place.store, place.clip, words(place), soon(), bundle_id=bundle_id)
        except Conflict as exc:
            refused.append(exc)

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert len(posts.desk(place.door, place.store).publications) == 3


@pytest.mark.parametrize("state", ["sending", "scheduled", "published", "unconfirmed", "failed"])
def test_what_was_handed_over_is_not_changed(place: Shop, state: str) -> None:
    bundle_id = order(place)
    place.set_state(bundle_id, state)
    with pytest.raises(Conflict):
        posts.save_draft(place.door, place.store, place.clip, words(place), bundle_id=bundle_id, version=1)
    assert set(place.state(bundle_id).values()) == {state}


def test_what_may_have_reached_the_vendor_once_is_not_changed(place: Shop, shared_world: World) -> None:
    """After a lost answer the next request must be about the same posts at the same instant."""
    bundle_id = order(place)
    shared_world.execute("update public.bundles set requests = 1 where id = %s", bundle_id)
    with pytest.raises(Conflict, match="answer"):
        posts.save_draft(place.door, place.store, place.clip, words(place), bundle_id=bundle_id, version=1)


def test_a_change_fences_the_publisher_that_has_it(place: Shop, shared_world: World) -> None:
    bundle_id = order(place)
    shared_world.execute(
        "update public.bundles set token = %s, lease_until = now() + interval '1 min', media = '{}' where id = %s",
        uuid4(), bundle_id,
    )  # fmt: skip
    posts.order(place.door, place.store, place.clip, words(place), soon(90), bundle_id=bundle_id, version=1)
    (row,) = shared_world.rows("select token, media from public.bundles where id = %s", bundle_id)
    assert row == {"token": None, "media": None}


def test_taking_back_before_and_after_it_was_handed_over(place: Shop, shared_world: World) -> None:
    bundle_id = order(place)
    first, second, third = posts.desk(place.door, place.store).publications
    assert posts.cancel(place.door, first.id) == "cancelled"
    shared_world.execute("update public.publications set state = 'scheduled' where id = %s", second.id)
    shared_world.execute("update public.publications set state = 'sending' where id = %s", third.id)
    assert posts.cancel(place.door, second.id) == "withdrawing"
    with pytest.raises(Conflict, match="right now"):
        posts.cancel(place.door, third.id)
    with pytest.raises(Conflict, match="ended"):
        posts.cancel(place.door, first.id)
    assert place.state(bundle_id) == {
        first.channel: "cancelled", second.channel: "scheduled", third.channel: "sending"
    }  # fmt: skip
    shown = {p.id: p.withdrawing for p in posts.desk(place.door, place.store).publications}
    assert shown == {first.id: False, second.id: True, third.id: False}


def test_only_a_draft_is_deleted(place: Shop) -> None:
    saved = posts.save_draft(place.door, place.store, place.clip, words(place))
    posts.delete_draft(place.door, saved.id)
    assert posts.desk(place.door, place.store).drafts == []
    with pytest.raises(Conflict):
        posts.delete_draft(place.door, order(place))


def test_what_failed_is_posted_again_as_a_new_post(place: Shop) -> None:
    bundle_id = order(place)
    again = uuid4()
    with pytest.raises(Conflict, match="still on its way"):
        posts.repeat(place.door, bundle_id, again, place.channels)
    place.set_state(bundle_id, "missed")
    posts.repeat(place.door, bundle_id, again, place.channels[:2], soon(120))
    assert set(place.state(again)) == set(place.channels[:2])
    assert set(place.state(bundle_id).values()) == {"missed"}
    shown = posts.desk(place.door, place.store, group="failed").publications
    assert {p.channel for p in shown if p.repeated} == set(place.channels[:2])


def test_the_same_again_is_posted_once_whoever_clicks(place: Shop, shared_world: World) -> None:
    bundle_id, one_click, refused = order(place), uuid4(), []
    place.set_state(bundle_id, "failed")
    colleague = shared_world.as_person(place.admin)

    def click(door: Database, new_id: UUID) -> None:
        try:
            posts.repeat(door, bundle_id, new_id, place.channels, soon(120))
        except Conflict as exc:
            refused.append(exc)

    clicks = [(place.door, one_click), (place.door, one_click), (colleague, uuid4()), (place.door, uuid4())]
    threads = [threading.Thread(target=click, args=each) for each in clicks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert shared_world.value("select count(*) from public.bundles where copy_of = %s", bundle_id) == 1


def test_a_rewrite_waits_until_the_original_is_gone(place: Shop) -> None:
    original = order(place)
    place.set_state(original, "scheduled")
    copy = posts.rewrite(place.door, original, place.channels)
    (draft,) = posts.desk(place.door, place.store).drafts
    assert (draft.id, draft.copy_of) == (copy, original)
    again = {"bundle_id": copy, "version": draft.version}
    with pytest.raises(Conflict, match="still on its way"):
        posts.order(place.door, place.store, place.clip, words(place), soon(), **again)  # type: ignore[arg-type]  # keyword arguments of one call
    place.set_state(original, "published")
    with pytest.raises(Conflict, match="went live"):
        posts.order(place.door, place.store, place.clip, words(place), soon(), **again)  # type: ignore[arg-type]  # as above
    place.set_state(original, "cancelled")
    posts.order(place.door, place.store, place.clip, words(place), soon(), **again)  # type: ignore[arg-type]  # as above


def test_a_rewrite_of_one_channel_waits_for_that_one_only(place: Shop) -> None:
    original = order(place)
    place.set_state(original, "scheduled")
    copy = posts.rewrite(place.door, original, place.channels[:1])
    place.world.execute(
        "update public.publications set state = 'cancelled' where bundle_id = %s and channel = %s",
        original, place.channels[0],
    )  # fmt: skip
    posts.order(
        place.door, place.store, place.clip, words(place, place.channels[0]), soon(), bundle_id=copy, version=1,
        copy_of=original,
    )  # fmt: skip
    assert place.state(copy) == {place.channels[0]: "uploading"}


def test_a_person_decides_what_nobody_could_tell(place: Shop) -> None:
    bundle_id = order(place)
    place.set_state(bundle_id, "unconfirmed")
    live, absent, _ = posts.desk(place.door, place.store, group="unknown").publications
    with pytest.raises(InvalidInput):
        posts.decide(place.door, live.id, live=True, release_url="javascript:alert(1)")
    posts.decide(place.door, live.id, live=True, release_url=" https://example.test/p/1 ")
    posts.decide(place.door, absent.id, live=False)
    with pytest.raises(Conflict):
        posts.decide(place.door, live.id, live=False)
    shown = {p.id: (p.state, p.release_url) for p in posts.desk(place.door, place.store).publications}
    assert shown[live.id] == ("published", "https://example.test/p/1")
    assert shown[absent.id] == ("unconfirmed", None)
    assert [p.id for p in posts.desk(place.door, place.store).publications if p.withdrawing] == [absent.id]


def test_the_same_clip_or_words_on_the_same_channel_within_a_week(place: Shop, shared_world: World) -> None:
    other = ready_clip(shared_world, place.store)
    order(place)
    here = place.channels[:1]

    def found(clip: UUID, caption: str, at: datetime, channels: list[str] = here) -> list[bool]:
        said = words(place, *channels, caption=caption)
        return [s.same_clip for s in posts.similar(place.door, place.store, clip, said, at)]

    assert found(place.clip, "Other", soon(100)) == [True]
    assert found(other, "FRESH bread, at six!", soon(100)) == [False]
    assert found(other, "Other", soon(100)) == []
    assert found(place.clip, "Other", soon(60 * 24 * 8)) == []
    assert found(place.clip, "Other", soon(100), ["elsewhere"]) == []
    assert found(other, "", soon(100)) == []


def test_pages_by_key_and_filters_by_group_and_channel(place: Shop) -> None:
    for hour in range(1, 5):
        posts.order(place.door, place.store, place.clip, words(place), soon(60 * hour))
    seen, after = [], None
    while page := posts.desk(place.door, place.store, limit=5, after=after).publications:
        seen += page
        after = page[-1].key
    assert len({p.id for p in seen}) == 12
    assert [p.wanted_at for p in seen] == sorted((p.wanted_at for p in seen if p.wanted_at), reverse=True)
    one = posts.desk(place.door, place.store, group="wanted", channel=place.channels[1]).publications
    assert {p.channel for p in one} == {place.channels[1]}
    assert posts.desk(place.door, place.store, group="live").publications == []


def test_the_outlook_counts_other_stores_on_the_key_but_names_none(place: Shop, shared_world: World) -> None:
    neighbour = shop(shared_world, place.account, credential=place.credential)
    order(neighbour)
    found = posts.outlook(place.door, place.store, soon(30))
    assert found.waiting == 1
    assert found.handed_over is not None
    assert "wanted_at" not in str(place.door.call("publishing_outlook", p_profile_id=place.store))
    assert found.uses == "company"
    assert found.account is not None
    assert found.account.address == "postiz.example.test"


def test_what_would_be_handed_over_too_late_is_refused(place: Shop, shared_world: World) -> None:
    shared_world.insert(
        "private.credential_organizations", credential_id=place.credential, organization=str(place.store)
    )
    shared_world.insert(
        "private.send_budgets", organization=str(place.store), used=90,
        window_ends=soon(50), blocked_until=soon(50),
    )  # fmt: skip
    with pytest.raises(InvalidInput) as refused:
        posts.order(place.door, place.store, place.clip, words(place), soon(30))
    assert refused.value.field == "wanted_at"
    posts.order(place.door, place.store, place.clip, words(place), soon(55))


def test_what_would_make_another_store_late_is_refused(place: Shop, shared_world: World) -> None:
    """Three requests are left until a later window; three posts of one store are to be in time for it."""
    neighbour = shop(shared_world, place.account, credential=place.credential)
    shared_world.insert(
        "private.credential_organizations", credential_id=place.credential, organization=str(place.store)
    )
    shared_world.insert("private.send_budgets", organization=str(place.store), used=87, window_ends=soon(40))
    for _ in range(3):
        posts.order(neighbour.door, neighbour.store, neighbour.clip, words(neighbour), soon(35))
    with pytest.raises(InvalidInput, match="one that was ordered before would miss"):
        posts.order(place.door, place.store, place.clip, words(place), soon(20))
    with pytest.raises(InvalidInput, match="earliest"):
        posts.order(place.door, place.store, place.clip, words(place), soon(38))
    posts.order(place.door, place.store, place.clip, words(place), soon(90))


def test_two_who_order_at_once_do_not_both_get_the_last_request(place: Shop, shared_world: World) -> None:
    neighbour = shop(shared_world, place.account, credential=place.credential)
    shared_world.insert(
        "private.credential_organizations", credential_id=place.credential, organization=str(place.store)
    )
    shared_world.insert("private.send_budgets", organization=str(place.store), used=89, window_ends=soon(40))
    refused: list[AppError] = []

    def click(shop: Shop) -> None:
        try:
            posts.order(shop.door, shop.store, shop.clip, words(shop), soon(30))
        except InvalidInput as exc:
            refused.append(exc)

    threads = [threading.Thread(target=click, args=(shop,)) for shop in (place, neighbour) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3


def test_an_archived_stores_posts_can_be_taken_back(place: Shop, shared_world: World) -> None:
    bundle_id = order(place)
    place.set_state(bundle_id, "scheduled")
    shared_world.execute("update public.profiles set archived_at = now() where id = %s", place.store)
    (publication, *_) = posts.desk(shared_world.as_person(place.admin), place.store).publications
    assert posts.cancel(shared_world.as_person(place.admin), publication.id) == "withdrawing"
    with pytest.raises(NotFound):
        order(place)


def test_what_is_ordered_and_taken_back_is_in_the_log(place: Shop, shared_world: World) -> None:
    order(place)
    posts.cancel(place.door, posts.desk(place.door, place.store).publications[0].id)
    rows = shared_world.rows(
        "select action, person_id from public.audit_log where account_id = %s order by id", place.account
    )
    assert [(row["action"], row["person_id"]) for row in rows] == [
        ("post_ordered", place.manager), ("post_taken_back", place.manager),
    ]  # fmt: skip


def test_a_click_while_the_publisher_begins_to_send_loses_or_wins_whole(place: Shop, shared_world: World) -> None:
    """Taking back and sending race for the same row: whoever comes second is told."""
    bundle_id = order(place)
    (publication, *_) = posts.desk(place.door, place.store).publications
    with shared_world.admin.transaction():
        shared_world.execute("select from public.bundles where id = %s for no key update", bundle_id)
        outcome: list[object] = []

        def click() -> None:
            try:
                outcome.append(posts.cancel(place.door, publication.id))
            except AppError as exc:
                outcome.append(type(exc))

        thread = threading.Thread(target=click)
        thread.start()
        shared_world.execute("update public.publications set state = 'sending' where bundle_id = %s", bundle_id)
    thread.join()
    assert outcome == [Conflict]
    assert place.state(bundle_id)[publication.channel] == "sending"
