"""The voice section of a store's settings: who saves it, what it takes, and two who save at once."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from services.errors import AppError, Conflict, InvalidInput, NotAllowed, NotFound
from services.speech import defaults
from services.speech.defaults import VoiceDefaults
from tests.builders import World

CHOSEN = VoiceDefaults(
    provider="hibari", model="heart", voice="heart", format="wav", speed=Decimal("1.25"), stability=Decimal("0.5")
)


@pytest.fixture
def place(shared_world: World):
    account = shared_world.company()
    store = shared_world.store(account)
    return {
        "store": store,
        "account": account,
        "admin": shared_world.as_person(shared_world.person(account, "admin")),
        "manager": shared_world.as_person(shared_world.person(account, "manager", store)),
        "colleague": shared_world.as_person(shared_world.person(account, "manager", shared_world.store(account))),
        "finance": shared_world.as_person(shared_world.person(account, "finance")),
        "stranger": shared_world.as_person(shared_world.person(shared_world.company(), "admin")),
    }


@pytest.mark.parametrize("who", ["admin", "manager"])
def test_what_was_saved_is_found_and_counted_up(place, who):
    before = defaults.of_store(place[who], place["store"])
    assert before.defaults == VoiceDefaults()
    defaults.save(place[who], place["store"], CHOSEN, before.voice_version)
    after = defaults.of_store(place[who], place["store"])
    assert (after.defaults, after.voice_version) == (CHOSEN, before.voice_version + 1)


@pytest.mark.parametrize("who", ["colleague", "finance", "stranger", "nobody"])
def test_others_cannot(shared_world, place, who):
    door = shared_world.doors.anonymous() if who == "nobody" else place[who]
    with pytest.raises((NotAllowed, NotFound)):
        defaults.save(door, place["store"], CHOSEN, 1)
    assert defaults.of_store(place["admin"], place["store"]).defaults == VoiceDefaults()


def test_of_two_who_save_at_once_the_second_is_told(place):
    def save(door):
        try:
            defaults.save(door, place["store"], CHOSEN, 1)
        except Conflict as exc:
            return str(exc)

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(save, [place["admin"], place["manager"]] * 4))
    assert ends.count(None) == 1
    assert set(ends) == {None, "Somebody saved the voice settings meanwhile. Look at them, then save again."}


@pytest.mark.parametrize(
    "settings",
    [
        {"key": "sk_1234"},
        {"format": "flac"},
        {"speed": "fast"},
        {"speed": "-1"},
        {"voice": ""},
        {"voice": "x" * 201},
        [],
    ],
)
def test_only_voice_settings_are_kept(place, settings):
    with pytest.raises(InvalidInput):
        place["admin"].call("save_voice_defaults", p_profile_id=place["store"], p_settings=settings, p_version=1)


def test_only_an_admin_lets_free_voices_pass_the_quota_and_says_why(shared_world, place):
    for who, reason, error in (("manager", "x", NotAllowed), ("admin", "  ", InvalidInput), ("finance", "x", AppError)):
        with pytest.raises(error):
            defaults.allow_free_over_quota(place[who], place["store"], True, reason, 1)
    defaults.allow_free_over_quota(place["admin"], place["store"], True, "Drafts cost nothing", 1)
    assert defaults.of_store(place["manager"], place["store"]).allow_free_voices_over_quota
    (row,) = shared_world.rows(
        "select action, reason, before, after from public.audit_log where account_id = %s", place["account"]
    )
    assert (row["action"], row["reason"]) == ("free_voices_over_quota_changed", "Drafts cost nothing")
    assert (row["before"], row["after"]) == ({"allowed": False}, {"allowed": True})
