"""The Settings page: a store's voice, accounts typed and tested, channels pinned; each by who may."""

from decimal import Decimal
from uuid import uuid4

import pytest
from pydantic import SecretStr

from services import channels, connections, credentials, vault
from services.config import settings
from services.errors import Conflict, InvalidInput, NotAllowed, NotFound
from services.speech import defaults
from services.speech.defaults import VoiceDefaults
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


def field(name, scope, turn=0):
    return f"account_postiz_{scope}_{name}_{turn}"


def button(name, scope):
    return f"{name}_account_postiz_{scope}"


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
        admin = desk.as_person(place["admin"])
        defaults.save(admin, place["store"], VoiceDefaults(provider="hibari", speed=Decimal("0.75")), 1)
        test.button(key="default_save").click().run()
        assert "Somebody saved the voice settings meanwhile" in texts(test)
        assert test.slider(key="default_speed").value == 1.25
        assert defaults.of_store(admin, place["store"]).defaults.speed == Decimal("0.75")

    def test_only_an_admin_sees_the_switch_for_free_voices(self, desk, place, open_page):
        test = open_page(place["manager"], "settings", store=place["slug"])
        assert [w for w in test.text_input if w.key.startswith("free_")] == []
        test = open_page(place["admin"], "settings", store=place["slug"])
        test.text_input(key=f"free_{place['store']}_reason_0").set_value("Drafts cost nothing")
        next(button for button in test.button if button.label == "Let them go on").click().run()
        assert defaults.of_store(desk.as_person(place["admin"]), place["store"]).allow_free_voices_over_quota


class TestAccounts:
    def typed(self, open_page, place, vendor, secret, address=None):
        test = open_page(place["admin"], "settings")
        test.text_input(key=field("address", place["account"])).set_value(address or vendor.api)
        test.text_input(key=field("key", place["account"])).set_value(secret)
        return test

    def test_what_is_typed_is_tested_before_it_is_saved(self, desk, place, open_page, vendor):
        test = self.typed(open_page, place, vendor, WRONG_KEY)
        test.button(key=button("test", place["account"])).click().run()
        assert "key" in test.error[0].value
        assert credentials.of_company(desk.as_person(place["admin"]), place["account"]) == []
        test.text_input(key=field("key", place["account"])).set_value(vendor.key)
        test.button(key=button("test", place["account"])).click().run()
        assert any("Connected" in item.value for item in test.success)
        test.button(key=button("save", place["account"])).click().run()
        (saved,) = credentials.of_company(desk.as_person(place["admin"]), place["account"])
        assert (saved.provider, saved.last4, saved.test_ok) == ("postiz", vendor.key[-4:], True)
        assert test.text_input(key=field("key", place["account"], 1)).value == ""
        assert vendor.key not in texts(test)

    def test_the_address_that_a_test_found_is_typed_and_tested_by_a_click(self, place, open_page, vendor):
        test = self.typed(open_page, place, vendor, vendor.key, address=vendor.url)
        test.button(key=button("test", place["account"])).click().run()
        assert "Use that address." in test.error[0].value
        test.button(key=button("right", place["account"])).click().run()
        assert test.text_input(key=field("address", place["account"])).value == vendor.api
        assert any("Connected" in item.value for item in test.success)
        assert button("right", place["account"]) not in {found.key for found in test.button}

    def test_no_other_address_is_offered_where_none_was_found(self, place, open_page, vendor):
        test = self.typed(open_page, place, vendor, WRONG_KEY)
        test.button(key=button("test", place["account"])).click().run()
        assert test.error
        assert button("right", place["account"]) not in {found.key for found in test.button}

    @pytest.mark.parametrize(
        ("ok", "times", "told"),
        [
            (True, 1, "This says nothing about the key. It worked in the last test that could tell."),
            (None, 2, "This says nothing about the key. Whether it works is not known yet."),
            (True, 3, "None of the last 3 tests could tell whether the key works. It worked in the last"),
            (False, 4, "None of the last 4 tests could tell whether the key works. It failed the last"),
        ],
    )
    def test_tests_that_could_not_tell_are_said_to_be_such(self, desk, place, open_page, vendor, ok, times, told):
        admin = desk.as_person(place["admin"])
        credentials.save(admin, settings(), place["account"], None, "postiz", vendor.api, vendor_key(vendor))
        desk.execute(
            "update public.profile_credentials set tested_at = now(), test_ok = %s, test_message = 'No answer.',"
            " passing_tests = %s",
            ok, times,
        )  # fmt: skip
        test = open_page(place["admin"], "settings")
        (said,) = [item.value for item in test.warning if "No answer." in item.value]
        assert told in said

    def test_a_key_that_is_none_is_said_beside_it_and_stays(self, place, open_page, vendor):
        test = self.typed(open_page, place, vendor, "two words")
        test.button(key=button("save", place["account"])).click().run()
        assert test.error
        assert test.text_input(key=field("key", place["account"])).value == "two words"

    def test_a_store_is_told_whose_account_it_uses(self, desk, place, open_page, vendor):
        test = open_page(place["admin"], "settings", store=place["slug"])
        self.choose(test, place, "own", turn=0)
        assert credentials.choices(desk.as_person(place["admin"]), place["store"])["postiz"] == "own"
        self.choose(test, place, "none", turn=1)
        assert credentials.choices(desk.as_person(place["admin"]), place["store"])["postiz"] == "none"

    def choose(self, test, place, wanted, turn):
        test.radio(key=f"uses_postiz_{place['store']}_uses_{turn}").set_value(wanted)
        test.button(key=f"uses_postiz_{place['store']}_send").click().run()

    def test_nothing_is_chosen_without_a_click(self, desk, place, open_page, vendor):
        test = open_page(place["admin"], "settings", store=place["slug"])
        credentials.save(
            desk.as_person(place["admin"]), settings(), place["account"], None, "postiz", vendor.api, vendor_key(vendor)
        )
        test.radio(key=f"uses_postiz_{place['store']}_uses_0").set_value("own").run()
        test.run()
        assert credentials.chosen(desk.as_person(place["admin"]), place["store"]) == {}

    def test_of_two_who_choose_the_second_is_told(self, desk, place, open_page):
        test = open_page(place["admin"], "settings", store=place["slug"])
        credentials.choose(desk.as_person(place["admin"]), place["store"], "postiz", "own", 0)
        self.choose(test, place, "none", turn=0)
        assert "meanwhile" in texts(test)
        assert credentials.choices(desk.as_person(place["admin"]), place["store"])["postiz"] == "own"

    def test_of_two_who_save_a_key_the_second_is_told(self, desk, place, open_page, vendor):
        test = self.typed(open_page, place, vendor, vendor.key)
        credentials.save(
            desk.as_person(place["admin"]), settings(), place["account"], None, "postiz", vendor.api, vendor_key(vendor)
        )
        test.button(key=button("save", place["account"])).click().run()
        assert "meanwhile" in texts(test)

    def test_what_is_typed_for_one_company_stands_in_no_other(self, desk, place, open_page, vendor):
        other = desk.company("Another")
        desk.insert("public.members", account_id=other, person_id=place["admin"], role="admin")
        test = open_page(place["admin"], "settings")
        here = next(account for account in (place["account"], other) if field_of(test, account))
        test.text_input(key=field("key", here)).set_value("typed-for-this-one").run()
        there = other if here == place["account"] else place["account"]
        test.selectbox(key="account").set_value(str(there)).run()
        assert field_of(test, there).value == ""

    def test_a_manager_tests_saved_keys_and_types_none(self, desk, place, open_page, vendor):
        admin = desk.as_person(place["admin"])
        credentials.save(admin, settings(), place["account"], place["store"], "postiz", vendor.api, vendor_key(vendor))
        test = open_page(place["manager"], "settings", store=place["slug"])
        assert "••••" in texts(test)
        assert [w for w in test.text_input if "_key_" in w.key] == []
        test.button(key=button("retest", place["store"])).click().run()
        assert not test.exception
        assert desk.value("select count(*) from public.jobs where kind = 'test_credential'") >= 1

    @pytest.mark.parametrize("who", ["finance", "manager"])
    def test_others_see_no_account_of_the_company(self, place, open_page, who):
        test = open_page(place[who], "settings")
        assert [w for w in test.text_input if w.key.startswith("account_")] == []


def field_of(test, account):
    return next((w for w in test.text_input if w.key == field("key", account)), None)


def vendor_key(vendor):
    return SecretStr(vendor.key)


class TestChannels:
    @pytest.fixture
    def connected(self, desk, place, vendor):
        """The company's account with two channels; the store uses it."""
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
        self.fill(test, place, ["c1"], "The shop's account")
        assert [c.channel for c in channels.pinned(desk.as_person(place["manager"]), place["store"])] == ["c1"]
        query = "select reason from public.audit_log where action = 'channels_pinned' and account_id = %s"
        assert desk.value(query, place["account"]) == "The shop's account"
        assert "Harbour Bakery · instagram" in texts(open_page(place["manager"], "settings", store=place["slug"]))

    def fill(self, test, place, chosen, reason):
        form = f"channels_{place['store']}"
        test.multiselect(key=f"{form}_channels_0").set_value(chosen)
        test.text_input(key=f"{form}_reason_0").set_value(reason)
        next(button for button in test.button if button.label == "Pin these channels").click().run()

    def test_a_reason_is_asked_for_and_nothing_is_lost(self, desk, place, open_page, connected):
        admin, credential = connected
        form = f"channels_{place['store']}"
        test = open_page(place["admin"], "settings", store=place["slug"])
        self.fill(test, place, ["c1"], "  ")
        assert "Say why" in texts(test)
        assert test.multiselect(key=f"{form}_channels_0").value == ["c1"]
        assert channels.pinned(admin, place["store"]) == []
        channels.pin(admin, place["store"], credential, ["c2"], seen=[], reason="Somebody else's")
        self.fill(test, place, ["c1"], "The shop's account")
        assert "Somebody pinned other channels meanwhile" in texts(test)
        assert [channel.channel for channel in channels.pinned(admin, place["store"])] == ["c2"]
        self.fill(test, place, ["c1"], "The shop's account")
        assert [channel.channel for channel in channels.pinned(admin, place["store"])] == ["c1"]

    @pytest.mark.parametrize("reason", ["", " \n", "x" * 501])
    def test_without_a_good_reason_nothing_is_pinned(self, place, connected, reason):
        with pytest.raises(InvalidInput, match=r"Say why|at most 500") as refused:
            channels.pin(connected[0], place["store"], connected[1], ["c1"], seen=[], reason=reason)
        assert refused.value.field == "reason"
        assert channels.pinned(connected[0], place["store"]) == []

    def test_no_channel_serves_two_stores(self, desk, place, connected):
        admin, credential = connected
        other = desk.store(place["account"], name="Hill")
        channels.pin(admin, place["store"], credential, ["c1"], seen=[], reason="New account")

        with pytest.raises(Conflict, match="is pinned to Quay"):
            channels.pin(admin, other, credential, ["c1", "c2"], seen=[], reason="New account")
        assert channels.pinned(admin, other) == []
        channels.pin(admin, place["store"], credential, [], seen=["c1"], reason="New account")
        channels.pin(admin, other, credential, ["c1", "c2"], seen=[], reason="New account")
        assert len(channels.pinned(admin, other)) == 2

    def test_of_two_who_pin_the_second_is_told(self, place, connected):
        admin, credential = connected
        channels.pin(admin, place["store"], credential, ["c1"], seen=[], reason="New account")
        with pytest.raises(Conflict, match="meanwhile"):
            channels.pin(admin, place["store"], credential, ["c2"], seen=[], reason="New account")
        assert [channel.channel for channel in channels.pinned(admin, place["store"])] == ["c1"]

    def test_a_channel_that_nobody_has_seen_is_never_pinned(self, place, connected):

        admin, credential = connected
        with pytest.raises(Conflict, match="does not show this channel"):
            channels.pin(admin, place["store"], credential, ["c3"], seen=[], reason="New account")

    @pytest.mark.parametrize("who", ["manager", "finance", "stranger"])
    def test_only_an_admin_pins(self, desk, place, connected, who):

        person = desk.person(desk.company(), "admin") if who == "stranger" else place[who]
        with pytest.raises((NotAllowed, NotFound)):
            channels.pin(desk.as_person(person), place["store"], connected[1], ["c1"], seen=[], reason="New account")
        with pytest.raises(NotFound):
            channels.pin(connected[0], place["store"], uuid4(), ["c1"], seen=[], reason="New account")
