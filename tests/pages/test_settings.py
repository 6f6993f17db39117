"""The Settings page: a store's voice, accounts typed and tested, channels pinned; each by who may."""

from uuid import uuid4

import pytest

from services import channels, credentials, vault
from services.config import settings
from services.speech import defaults
from tests.builders import World
from tests.fakes.postiz import Channel, FakePostiz

WRONG_KEY = "f" * 64


@pytest.fixture
def place(desk: World, monkeypatch):
    monkeypatch.setenv("ALLOW_PRIVATE_ADDRESSES", "true")
    settings.cache_clear()
    vault.note(desk.as_worker(), settings())
    account = desk.company()
    store = desk.store(account, name="Quay")
    return {
        "account": account,
        "store": store,
        "slug": f"s-{store}",
        "admin": desk.person(account, "admin"),
        "manager": desk.person(account, "manager", store),
        "finance": desk.person(account, "finance"),
    }


@pytest.fixture
def vendor():
    with FakePostiz() as server:
        yield server


def texts(test):
    parts = (*test.markdown, *test.caption, *test.success, *test.error, *test.warning, *test.info, *test.header)
    return " ".join(part.value for part in parts)


def key(name, scope, provider="postiz"):
    return f"account_{name}_{provider}_{scope}"


class TestVoice:
    def test_a_manager_sets_what_the_voice_page_starts_with(self, desk, place, open_page):
        test = open_page(place["manager"], "settings", store=place["slug"])
        test.slider(key="default_speed").set_value(1.25)
        test.radio(key="default_format").set_value("wav").run()
        test.button(key="default_save").click().run()
        assert not test.exception
        saved = defaults.of_store(desk.as_person(place["admin"]), place["store"]).defaults
        assert (saved.provider, saved.format, float(saved.speed)) == ("hibari", "wav", 1.25)
        voice = open_page(place["manager"], "voice", store=place["slug"])
        assert (voice.slider(key="voice_speed").value, voice.radio(key="voice_format").value) == (1.25, "wav")

    def test_a_section_that_somebody_saved_meanwhile_is_told(self, desk, place, open_page):
        test = open_page(place["manager"], "settings", store=place["slug"])
        test.slider(key="default_speed").set_value(1.25).run()
        real = defaults.of_store

        def earlier(database, profile_id):
            seen = real(database, profile_id)
            return seen.model_copy(update={"voice_version": seen.voice_version - 1})

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(defaults, "of_store", earlier)
            test.button(key="default_save").click().run()
        assert "Somebody saved the voice settings meanwhile" in texts(test)

    def test_only_an_admin_sees_the_switch_for_free_voices(self, desk, place, open_page):
        test = open_page(place["manager"], "settings", store=place["slug"])
        assert [w for w in test.text_input if w.key == "free_reason"] == []
        test = open_page(place["admin"], "settings", store=place["slug"])
        test.text_input(key="free_reason").set_value("Drafts cost nothing")
        next(button for button in test.button if button.label == "Let them go on").click().run()
        assert defaults.of_store(desk.as_person(place["admin"]), place["store"]).allow_free_voices_over_quota


class TestAccounts:
    def typed(self, open_page, place, vendor, secret, address=None):
        test = open_page(place["admin"], "settings")
        test.text_input(key=key("address", "company")).set_value(address or vendor.api)
        test.text_input(key=key("key", "company")).set_value(secret)
        return test

    def test_what_is_typed_is_tested_before_it_is_saved(self, desk, place, open_page, vendor):
        test = self.typed(open_page, place, vendor, WRONG_KEY)
        test.button(key=key("test", "company")).click().run()
        assert "key" in test.error[0].value
        assert credentials.of_company(desk.as_person(place["admin"]), place["account"]) == []
        test.text_input(key=key("key", "company")).set_value(vendor.key)
        test.button(key=key("test", "company")).click().run()
        assert any("Connected" in item.value for item in test.success)
        test.button(key=key("save", "company")).click().run()
        (saved,) = credentials.of_company(desk.as_person(place["admin"]), place["account"])
        assert (saved.provider, saved.last4, saved.test_ok) == ("postiz", vendor.key[-4:], True)
        assert test.text_input(key=key("key", "company")).value == ""
        assert vendor.key not in texts(test)

    def test_a_key_that_is_none_is_said_beside_it_and_stays(self, place, open_page, vendor):
        test = self.typed(open_page, place, vendor, "two words")
        test.button(key=key("save", "company")).click().run()
        assert test.error
        assert test.text_input(key=key("key", "company")).value == "two words"

    def test_a_store_is_told_whose_account_it_uses(self, desk, place, open_page, vendor):
        test = open_page(place["admin"], "settings", store=place["slug"])
        test.radio(key=f"uses_postiz_{place['store']}").set_value("own").run()
        assert credentials.choices(desk.as_person(place["admin"]), place["store"])["postiz"] == "own"
        test.radio(key=f"uses_postiz_{place['store']}").set_value("none").run()
        assert credentials.choices(desk.as_person(place["admin"]), place["store"])["postiz"] == "none"

    def test_a_manager_tests_saved_keys_and_types_none(self, desk, place, open_page, vendor):
        admin = desk.as_person(place["admin"])
        credentials.save(admin, settings(), place["account"], place["store"], "postiz", vendor.api, vendor_key(vendor))
        test = open_page(place["manager"], "settings", store=place["slug"])
        assert "••••" in texts(test)
        assert [w for w in test.text_input if w.key.startswith("account_key")] == []
        test.button(key=key("retest", place["store"])).click().run()
        assert not test.exception
        assert desk.value("select count(*) from public.jobs where kind = 'test_credential'") >= 1

    @pytest.mark.parametrize("who", ["finance", "manager"])
    def test_others_see_no_account_of_the_company(self, place, open_page, who):
        test = open_page(place[who], "settings")
        assert [w for w in test.text_input if w.key.startswith("account_")] == []


def vendor_key(vendor):
    from pydantic import SecretStr

    return SecretStr(vendor.key)


class TestChannels:
    @pytest.fixture
    def connected(self, desk, place, vendor):
        """The company's account with two channels; the store uses it."""
        from services import connections

        vendor.organisations[vendor.key].channels[:] = [
            Channel("c1", "Harbour Bakery", "instagram"), Channel("c2", "Harbour Bakery", "tiktok")
        ]  # fmt: skip
        admin = desk.as_person(place["admin"])
        found = connections.test("postiz", vendor.api, vendor_key(vendor), settings())
        assert found.ok, found.message
        saved = credentials.save(
            admin,
            settings(),
            place["account"],
            None,
            "postiz",
            vendor.api,
            vendor_key(vendor),
            shared=True,
            found=found,
        )
        return admin, saved

    def test_an_admin_pins_what_the_account_showed(self, desk, place, open_page, connected):
        test = open_page(place["admin"], "settings", store=place["slug"])
        test.multiselect(key=f"channels_{place['store']}").set_value(["c1"])
        next(button for button in test.button if button.label == "Pin these channels").click().run()
        assert [c.channel for c in channels.pinned(desk.as_person(place["manager"]), place["store"])] == ["c1"]
        assert "Harbour Bakery · instagram" in texts(open_page(place["manager"], "settings", store=place["slug"]))

    def test_no_channel_serves_two_stores(self, desk, place, connected):
        admin, credential = connected
        other = desk.store(place["account"], name="Hill")
        channels.pin(admin, place["store"], credential, ["c1"])
        from services.errors import Conflict

        with pytest.raises(Conflict, match="is pinned to Quay"):
            channels.pin(admin, other, credential, ["c1", "c2"])
        assert channels.pinned(admin, other) == []
        channels.pin(admin, place["store"], credential, [])
        channels.pin(admin, other, credential, ["c1", "c2"])
        assert len(channels.pinned(admin, other)) == 2

    def test_a_channel_that_nobody_has_seen_is_never_pinned(self, place, connected):
        from services.errors import Conflict

        admin, credential = connected
        with pytest.raises(Conflict, match="does not show this channel"):
            channels.pin(admin, place["store"], credential, ["c3"])

    @pytest.mark.parametrize("who", ["manager", "finance", "stranger"])
    def test_only_an_admin_pins(self, desk, place, connected, who):
        from services.errors import NotAllowed, NotFound

        person = desk.person(desk.company(), "admin") if who == "stranger" else place[who]
        with pytest.raises((NotAllowed, NotFound)):
            channels.pin(desk.as_person(person), place["store"], connected[1], ["c1"])
        with pytest.raises(NotFound):
            channels.pin(connected[0], place["store"], uuid4(), ["c1"])
