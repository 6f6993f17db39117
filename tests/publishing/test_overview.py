"""What the Overview says of publishing, store by store, and the first steps that are ticked by it."""

from uuid import uuid4

from services import profiles
from services.costs import reports
from tests.builders import World
from tests.publishing.shop import shop, soon


def test_the_store_with_lost_posts_stands_first(shared_world: World) -> None:
    calm = shop(shared_world)
    worse = shop(shared_world, calm.account, credential=calm.credential)
    for state in ("failed", "missed", "unconfirmed", "published", "cancelled"):
        answer = worse.door.call(
            "save_post", p_id=uuid4(), p_profile_id=worse.store, p_clip_id=worse.clip,
            p_wanted_at=soon(), p_publications=worse.words(worse.channels[0]), p_order=True,
        )  # fmt: skip
        worse.set_state(answer["id"], state)
    shared_world.execute("update public.profile_credentials set test_ok = false where id = %s", calm.credential)

    rows = reports.account_dashboard(shared_world.as_person(calm.admin), calm.account).stores
    assert [row.id for row in rows] == [worse.store, calm.store]
    first, second = rows
    assert (first.failed_posts, first.unknown_posts) == (2, 1)
    assert first.last_post_at is not None
    assert (second.failed_posts, second.unknown_posts, second.last_post_at) == (0, 0, None)
    assert first.account_dead
    assert second.account_dead


def test_first_steps_are_ticked_by_facts(shared_world: World) -> None:
    account = shared_world.company()
    admin = shared_world.as_person(shared_world.person(account, "admin"))
    before = profiles.checklist(admin, account)
    assert before is not None
    assert not before.clip
    assert not before.postiz
    shop(shared_world, account)
    after = profiles.checklist(admin, account)
    assert after is not None
    assert after.clip
    assert after.postiz
    assert not after.done
