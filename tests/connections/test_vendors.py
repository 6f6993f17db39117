"""What is found behind a right key, and where Postiz really is."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

from services import connections
from services.config import Settings
from services.connections import Found, Provider
from tests.fakes.elevenlabs import FakeElevenLabs
from tests.fakes.gemini import FakeGemini, Model
from tests.fakes.postiz import Channel, FakePostiz
from tests.fakes.web import Reply, html, json_reply


def tried(provider: Provider, address: str, key: str, options: Settings) -> Found:
    return connections.test(provider, address, connections.clean_key(provider, key), options)


# ElevenLabs -------------------------------------------------------------------------------------------------


def test_elevenlabs_tells_plan_credits_and_models_for_nothing(elevenlabs: FakeElevenLabs, private: Settings) -> None:
    account = elevenlabs.account(used=Decimal(12_345))
    found = tried("elevenlabs", elevenlabs.url, account.key, private)
    assert found.ok
    assert found.message == "Connected: Creator plan, 12,345 of 100,000 credits used, resets 17 Mar 2030."
    assert found.facts["models"][0] == {"id": "eleven_multilingual_v2", "name": "Eleven Multilingual v2"}
    assert "eleven_multilingual_sts_v2" not in str(found.facts), "it cannot speak"
    assert {name: found.facts[name] for name in ("tier", "credits_used", "credits_limit", "resets_at", "missing")} == {
        "tier": "creator",
        "credits_used": 12_345,
        "credits_limit": 100_000,
        "resets_at": "2030-03-17T17:46:40+00:00",
        "missing": [],
    }
    assert (elevenlabs.billed(), account.used) == (0, 12_345)


PERMISSIONS = {
    "user_read": "User (read)",
    "models_read": "Models",
    "voices_read": "Voices (read)",
    "speech_history_read": "History (read)",
}


@pytest.mark.parametrize(("permission", "name"), PERMISSIONS.items())
def test_elevenlabs_names_the_permission_that_is_missing(
    permission: str, name: str, elevenlabs: FakeElevenLabs, private: Settings
) -> None:
    account = elevenlabs.account()
    account.permissions.discard(permission)
    found = tried("elevenlabs", elevenlabs.url, account.key, private)
    assert found.ok
    assert found.message.startswith("Connected, limited: ")
    assert found.message.endswith(f"The key lacks 1 permission, which it gets in ElevenLabs: {name}.")
    assert found.facts["missing"] == [name]


@pytest.mark.parametrize("permissions", [set(), set(PERMISSIONS)])
def test_an_elevenlabs_key_that_cannot_speak_is_of_no_use(
    permissions: set[str], elevenlabs: FakeElevenLabs, private: Settings
) -> None:
    found = tried("elevenlabs", elevenlabs.url, elevenlabs.account(permissions=permissions).key, private)
    assert not found.ok
    assert found.message.startswith("The key is right but may not make speech. In ElevenLabs, under API keys, allow")


def test_elevenlabs_of_the_settings_is_asked_when_nothing_is_typed(
    elevenlabs: FakeElevenLabs, strict: Settings
) -> None:
    own = strict.model_copy(update={"elevenlabs_url": elevenlabs.url})
    key = connections.clean_key("elevenlabs", elevenlabs.key)
    assert connections.test("elevenlabs", None, key, own).ok


# Gemini -----------------------------------------------------------------------------------------------------


def test_gemini_tells_the_models_that_generate(gemini: FakeGemini, private: Settings) -> None:
    found = tried("gemini", gemini.url, gemini.key, private)
    assert (found.ok, found.message) == (True, "Connected: 2 models can be used.")
    assert found.facts["models"] == [
        {"id": "gemini-3.8-flash", "name": "Gemini 3.8 Flash"},
        {"id": "gemini-3.5-flash-lite", "name": "Gemini 3.5 Flash-Lite"},
    ]
    assert [request.path for request in gemini.requests] == ["/v1/models"], "something else than the free list"
    assert gemini.key not in str(gemini.requests[0].query), "the key in an address, where logs see it"


def test_gemini_lists_all_its_models(gemini: FakeGemini, private: Settings) -> None:
    gemini.models = [Model(f"models/m-{number}", f"M {number}") for number in range(300)]
    assert tried("gemini", gemini.url, gemini.key, private).message == "Connected: 300 models can be used."


def test_gemini_keys_that_are_wrong_or_limited(gemini: FakeGemini, private: Settings) -> None:
    gemini.limited.add("AIza" + "l" * 35)
    wrong = tried("gemini", gemini.url, "AIza" + "x" * 35, private)
    limited = tried("gemini", gemini.url, "AIza" + "l" * 35, private)
    assert wrong.message.startswith("Gemini does not accept the key.")
    assert limited.message.startswith("The key is right but may not use the Gemini API")
    assert (wrong.ok, limited.ok) == (False, False)


# Postiz -----------------------------------------------------------------------------------------------------


def test_postiz_tells_its_channels(postiz: FakePostiz, private: Settings) -> None:
    found = tried("postiz", postiz.api, postiz.key, private)
    assert (found.ok, found.message) == (True, "Connected: 3 channels, 1 of them disabled.")
    assert found.facts["address"] == postiz.api
    assert found.facts["channels"][1] == {
        "id": "cm4insta", "name": "My Shöp", "identifier": "instagram", "picture": None, "disabled": False,
        "profile": None,
    }  # fmt: skip
    assert {request.headers["authorization"] for request in postiz.requests} == {postiz.key}, "no Bearer before it"


def test_postiz_without_channels_says_what_to_do(postiz: FakePostiz, private: Settings) -> None:
    found = tried("postiz", postiz.api, postiz.organisation([]).key, private)
    assert (found.ok, found.message) == (
        True, "Connected, but there are no channels yet. Connect them in Postiz.",
    )  # fmt: skip
    assert found.facts["channels"] == []


@pytest.mark.parametrize("front", ["redirect", "page"])
@pytest.mark.parametrize("typed", ["", "/launches", "/settings", "/public/v1", "/auth"])
def test_postiz_without_api_in_the_address_is_found(typed: str, front: str, private: Settings) -> None:
    with FakePostiz(front=front) as fake:
        found = tried("postiz", fake.url + typed, fake.key, private)
        pasted = (fake.url + typed).removesuffix("/public/v1")
        assert not found.ok
        assert found.message == f"{pasted} is not the Postiz API, but {fake.api} is. Use that address."
        assert found.facts["address"] == fake.api
        assert len(found.facts["channels"]) == 3


def test_postiz_from_source_has_no_api_in_its_address(private: Settings) -> None:
    with FakePostiz(prefix="") as fake:
        found = tried("postiz", f"{fake.url}/api", fake.key, private)
        assert (found.ok, found.facts["address"]) == (False, fake.url)
        assert found.message == f"{fake.url}/api is not the Postiz API, but {fake.url} is. Use that address."
        assert tried("postiz", fake.url, fake.key, private).ok


def test_a_wrong_key_at_a_wrong_address_is_told_as_a_wrong_key(postiz: FakePostiz, private: Settings) -> None:
    found = tried("postiz", postiz.url, "k" * 64, private)
    assert (found.ok, found.facts) == (False, {})
    assert found.message.startswith("Postiz does not accept the key.")


def test_nowhere_is_postiz(private: Settings) -> None:
    with FakePostiz() as fake:
        fake.misbehave(html())
        found = tried("postiz", f"{fake.url}/desk", fake.key, private)
        assert found.message.startswith(f"{fake.url}/desk answers with a web page instead of the Postiz API.")


ODD = {"id": "c1", "name": "a\0b\ud800\u202ec" + "x" * 500, "identifier": "x", "picture": "javascript:alert(1)"}


def test_what_no_page_or_database_takes_is_cleaned(postiz: FakePostiz, private: Settings) -> None:
    postiz.misbehave(json_reply([ODD]), "/api/public/v1/integrations")
    found = tried("postiz", postiz.api, postiz.key, private)
    assert found.facts["channels"][0]["name"] == "abc" + "x" * 197
    assert found.facts["channels"][0]["picture"] is None
    assert Found.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("body", [{}, [1], [{"id": "c1"}], "x", [{**ODD, "id": None}], None])
def test_channels_of_another_shape_are_told(body: Any, postiz: FakePostiz, private: Settings) -> None:
    postiz.misbehave(json_reply(body), "/api/public/v1/integrations")
    found = tried("postiz", postiz.api, postiz.key, private)
    assert (found.ok, found.facts) == (False, {})
    assert "not in the way of the Postiz API" in found.message


# Many at once -----------------------------------------------------------------------------------------------


def test_tests_at_the_same_time_do_not_mix(postiz: FakePostiz, private: Settings) -> None:
    keys = {
        f"store-{number}": postiz.organisation([Channel(f"c{number}", f"S {number}", "x")]).key for number in range(32)
    }
    postiz.misbehave(Reply(503, seconds=0.05), "/api/public/v1/is-connected", times=4)
    with ThreadPoolExecutor(16) as pool:
        results = pool.map(lambda key: tried("postiz", postiz.api, key, private), keys.values())
        found = dict(zip(keys, results, strict=True))
    connected = {store: result for store, result in found.items() if result.ok}
    assert len(connected) == 28
    for store, result in connected.items():
        assert [channel["id"] for channel in result.facts["channels"]] == [store.replace("store-", "c")]
