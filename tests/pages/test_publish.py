"""The Publish page: written, checked, ordered, followed and taken back, by who may."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from services.publishing import posts
from services.publishing.posts import Words
from tests.builders import World
from tests.publishing.shop import Shop, pin, ready_clip, shop, soon


@pytest.fixture
def place(desk: World) -> Shop:
    return shop(desk, networks=("instagram", "facebook"))


@pytest.fixture
def page(open_page, place):
    """`page(**address)`: the Publish page of the store as its manager sees it."""

    def opened(person: UUID | None = None, **address: str):
        return open_page(person or place.manager, "publish", store=f"s-{place.store}", **address)

    return opened


def said(test) -> str:
    parts = (*test.markdown, *test.caption, *test.success, *test.error, *test.warning, *test.info, *test.title)
    return " ".join(part.value for part in parts)


def by_label(widgets, label: str):
    return next(widget for widget in widgets if widget.label == label)


def press(test, label: str):
    return next(button for button in test.button if button.label.startswith(label)).click().run()


def compose(test, clip: UUID, caption: str = "Fresh bread at six."):
    by_label(test.selectbox, "Clip").select(clip).run()
    by_label(test.text_area, "Caption").input(caption).run()
    return test


def order(place: Shop, **extra) -> UUID:
    words = [Words(channel=channel, caption="Fresh bread at six.") for channel in place.channels]
    return posts.order(place.door, place.store, place.clip, words, soon(), **extra).id


def test_from_a_clip_to_an_order(page, place: Shop) -> None:
    test = page(clip=str(place.clip))
    assert not test.exception
    assert "@instagram** on Instagram" in said(test)
    assert "the company's account at postiz.example.test" in said(test)
    by_label(test.text_area, "Caption").input("Fresh bread at six.").run()
    press(test, "Publish")
    assert not test.exception
    (bundle,) = place.world.rows("select id, at_once from public.bundles")
    assert bundle["at_once"]
    assert set(place.state(bundle["id"]).values()) == {"uploading"}
    test = page(post_part="Posts")
    assert "Its media is being brought to Postiz" in said(test)


def test_a_moment_in_the_stores_own_time(page, place: Shop) -> None:
    place.world.execute("update public.profiles set timezone = 'America/New_York' where id = %s", place.store)
    test = compose(page(post_part="Write"), place.clip)
    by_label(test.radio, "When").set_value("at").run()
    day = (datetime.now(UTC) + timedelta(days=3)).date()
    by_label(test.date_input, "Day").set_value(day).run()
    press(test, "Schedule")
    assert not test.exception
    wanted = place.world.value("select wanted_at from public.bundles")
    assert wanted.astimezone(UTC).date() in (day, day + timedelta(days=1))
    assert wanted.minute == 0


def test_other_words_for_one_channel_and_what_a_network_refuses(page, place: Shop) -> None:
    test = compose(page(post_part="Write"), place.clip, "x" * 2300)
    assert "Instagram takes 2,200 characters; the caption has 2,300" in said(test)
    assert next(b for b in test.button if b.label.startswith("Publish")).disabled
    instagram = next(i for i, box in enumerate(test.checkbox) if "instagram" in box.key and box.key.endswith("_own"))
    test.checkbox[instagram].check().run()
    by_label(test.text_area, "Caption here").input("Short").run()
    press(test, "Publish")
    captions = place.world.rows("select identifier, length(caption) as size from public.publications")
    assert {row["identifier"]: row["size"] for row in captions} == {"instagram": 5, "facebook": 2300}


def test_what_a_network_needs_is_asked(page, place: Shop) -> None:
    pin(place.world, place.account, place.store, place.credential, "youtube")
    test = compose(page(post_part="Write"), place.clip)
    assert "Title is needed" in said(test)
    by_label(test.text_input, "Title (needed)").input("Bread").run()
    assert "Title is needed" not in said(test)
    press(test, "Publish")
    rows = place.world.rows("select settings from public.publications where identifier = 'youtube'")
    assert rows[0]["settings"]["title"] == "Bread"


def test_a_draft_is_kept_and_taken_up_again(page, place: Shop) -> None:
    test = compose(page(post_part="Write"), place.clip, "For later")
    press(test, "Save draft")
    assert not test.exception
    (bundle,) = place.world.rows("select id from public.bundles")
    assert set(place.state(bundle["id"]).values()) == {"draft"}
    test = page(draft=str(bundle["id"]))
    assert by_label(test.text_area, "Caption").value == "For later"
    by_label(test.text_area, "Caption").input("Now").run()
    press(test, "Publish")
    assert not test.exception
    rows = place.world.rows("select distinct caption, state from public.publications")
    assert rows == [{"caption": "Now", "state": "uploading"}]


def test_a_channel_that_went_with_the_click_is_told_and_nothing_is_ordered(page, place: Shop) -> None:
    test = compose(page(post_part="Write"), place.clip, "Keep these words")
    place.world.execute("delete from public.profile_channels where channel = %s", place.channels[0])
    press(test, "Publish")
    assert "not pinned to this store any more" in said(test)
    assert by_label(test.text_area, "Caption").value == "Keep these words"
    assert place.world.value("select count(*) from public.bundles") == 0


def test_what_another_changed_meanwhile_is_told_and_nothing_is_lost(page, place: Shop) -> None:
    saved = posts.save_draft(place.door, place.store, place.clip, [Words(channel=place.channels[0], caption="First")])
    test = page(draft=str(saved.id))
    by_label(test.text_area, "Caption").input("Mine").run()
    theirs = [Words(channel=place.channels[0], caption="Theirs")]
    posts.save_draft(place.door, place.store, place.clip, theirs, bundle_id=saved.id, version=saved.version)
    press(test, "Save draft")
    assert "Somebody changed this post meanwhile" in said(test)
    assert by_label(test.text_area, "Caption").value == "Mine"
    press(test, "Save draft")
    assert place.world.value("select distinct caption from public.publications") == "Mine"


def test_the_same_again_within_a_week_is_asked_about(page, place: Shop) -> None:
    order(place)
    test = compose(page(post_part="Write"), place.clip, "Other words")
    assert "Much the same is posted within a week" in said(test)
    assert next(b for b in test.button if b.label.startswith("Publish")).disabled
    by_label(test.checkbox, "Post it all the same").check().run()
    assert not next(b for b in test.button if b.label.startswith("Publish")).disabled


def test_every_state_says_what_it_is_and_what_to_do(page, place: Shop) -> None:
    seen = {
        "uploaded": ("Waits for its turn", {}),
        "sending": ("Is being handed over", {}),
        "scheduled": ("Postiz publishes it at its moment", {}),
        "failed": ("Video too long", {"error": "Video too long."}),
        "missed": ("choose another moment", {}),
        "cancelled": ("Taken back", {}),
        "unconfirmed": ("It is not sent again as long as nobody knows", {}),
        "published": ("a comment below it failed", {"comment_failed": True, "release_url": "https://example.test/1"}),
    }
    for state, (_, extra) in seen.items():
        place.set_state(order(place), state, **extra)
    text = said(page(post_part="Posts"))
    for sentence, _ in seen.values():
        assert sentence in text
    only = said(page(post_part="Posts", post_state="Unknown"))
    assert "It is not sent again" in only
    assert "Video too long" not in only


def test_taking_back_and_posting_again(page, place: Shop) -> None:
    bundle_id = order(place)
    test = page(post_part="Posts")
    press(test, "Take it back")
    assert sorted(place.state(bundle_id).values()) == ["cancelled", "uploading"]
    again = next(button for button in test.button if button.label == "Post it again")
    assert again.disabled, "nobody has chosen to post what was taken back"

    place.world.execute("update public.publications set state = 'failed' where state = 'cancelled'")
    test = press(page(post_part="Posts"), "Post it again")
    assert not test.exception
    assert place.world.value("select count(*) from public.bundles") == 2
    assert "Post it again" not in [button.label for button in page(post_part="Posts").button]


def test_changing_what_was_ordered_opens_it_as_a_draft_with_its_moment(page, place: Shop) -> None:
    bundle_id = order(place)
    test = press(page(post_part="Posts"), "Change it")
    assert not test.exception
    assert sorted(place.state(bundle_id).values()) == ["cancelled", "uploading"]
    assert "You are changing a draft" in said(test)
    assert by_label(test.text_area, "Caption").value == "Fresh bread at six."
    assert by_label(test.radio, "When").value == "at"
    by_label(test.text_area, "Caption").input("Better words").run()
    press(test, "Schedule")
    assert not test.exception
    rows = place.world.rows("select caption, state from public.publications where bundle_id <> %s", bundle_id)
    assert rows == [{"caption": "Better words", "state": "uploading"}]


def test_a_person_says_what_they_saw(page, place: Shop) -> None:
    place.set_state(order(place), "unconfirmed")
    test = page(post_part="Posts")
    press(test, "Yes, it is live")
    press(test, "No, it is not there")
    seen = "select state, withdraw_requested_at is not null as asked from public.publications order by 1"
    assert [tuple(row.values()) for row in place.world.rows(seen)] == [("published", False), ("unconfirmed", True)]
    assert "Being taken back" in said(page(post_part="Posts"))


def test_channels_that_need_somebody(page, place: Shop) -> None:
    differs = "update public.profile_channels set differs = jsonb_build_object('name', 'Other shop') where channel = %s"
    place.world.execute(differs, place.channels[0])
    place.world.execute(
        "update public.profile_channels set reconnect_since = now() where channel = %s", place.channels[1]
    )
    text = said(page(post_part="Write"))
    assert "is shown as “Other shop” now" in text
    assert "has lost its permission" in text


def test_strays_are_shown_and_hidden(page, place: Shop) -> None:
    place.world.insert(
        "public.stray_posts", account_id=place.account, profile_id=place.store, channel=place.channels[0],
        vendor_post="v1", preview="Not ours", vendor_state="QUEUE", publish_at=soon(),
    )  # fmt: skip
    test = page(post_part="Posts")
    assert "Not ours" in said(test)
    press(test, "Hide")
    assert "Not ours" not in said(test)


def test_without_an_account_or_channels_the_page_says_what_to_do(page, place: Shop) -> None:
    place.world.execute("delete from public.profile_channels")
    assert "No channel of this account is pinned to the store" in said(page())
    place.world.execute("update public.profile_credentials set enabled = false")
    assert "No Postiz account is connected" in said(page(place.admin))


def test_a_clip_of_another_store_in_the_address(page, place: Shop, desk: World) -> None:
    other = shop(desk)
    assert "not one of this store's" in said(page(clip=str(other.clip)))


def test_a_clip_that_is_not_ready_can_be_drafted_only(page, place: Shop) -> None:
    clip = ready_clip(place.world, place.store, final_status="processing", media_path=None)
    test = page(clip=str(clip))
    assert "not ready yet" in said(test)
    by_label(test.text_area, "Caption").input("Soon").run()
    press(test, "Save draft")
    assert place.world.value("select count(*) from public.bundles") == 1


def test_finance_and_strangers_do_not_get_in(page, place: Shop, desk: World) -> None:
    finance = desk.person(place.account, "finance")
    assert "Your role does not open this page" in said(page(finance))
    neighbour = shop(desk, place.account, credential=place.credential)
    text = said(page(neighbour.manager))
    assert "@instagram" not in text or "This page works for one store" in text


def test_a_suspended_store_writes_but_orders_nothing(page, place: Shop) -> None:
    place.world.execute("update public.profiles set suspended_at = now(), suspended_reason = 'Audit'")
    test = compose(page(post_part="Write"), place.clip)
    assert next(b for b in test.button if b.label.startswith("Publish")).disabled
