"""The Scripts page: written, followed, judged, compared, deployed and handed over, by who may."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from streamlit.testing.v1 import AppTest

from services.scripts import assistants, practice, runs, versions
from services.scripts.assistants import Values
from services.scripts.phases import Assistant, PhaseModels
from tests.builders import World
from tests.pages.conftest import Opened, slug, texts
from tests.publishing.shop import shop as publishing

PRACTICE = PhaseModels.model_validate(dict.fromkeys(PhaseModels.model_fields, practice.MODEL))
BRIEFING = "Fresh rye bread from Friday on. It costs 4 euros. Come to Harbour Street 5. Kids get a roll for free."
Shop = tuple[UUID, UUID, UUID]
Page = Callable[..., AppTest]


def assistant_of(desk: World, shop: Shop, name: str = "Baker", **changes: Any) -> UUID:
    made, values = uuid4(), Assistant(name=name, **{"models": PRACTICE, **changes})
    assistants.save(desk.as_person(shop[2]), made, shop[1], Values(assistant=values))
    return made


@pytest.fixture
def writer(desk: World, shop: Shop) -> UUID:
    return assistant_of(desk, shop)


@pytest.fixture
def page(desk: World, shop: Shop, open_page: Opened) -> Page:
    """`page(part, **address)`: the Scripts page of the store as its manager sees it."""

    def opened(part: str = "Write", person: UUID | None = None, **address: str) -> AppTest:
        test = open_page(person or shop[2], "scripts", slug(desk, shop[1]), script_part=part, **address)
        assert not test.exception
        return test

    return opened


def press(test: AppTest, label: str) -> AppTest:
    test = next(button for button in test.button if button.label.startswith(label)).click().run()
    assert not test.exception
    return test


def labels(test: AppTest) -> list[str]:
    return [button.label for button in test.button]


def write(desk: World, shop: Shop, assistant: UUID, work, briefing: str = BRIEFING) -> UUID:
    """A finished run; returns its version."""
    run_id = runs.start(desk.as_person(shop[2]), uuid4(), assistant, briefing)
    work(desk)
    version = runs.get(desk.as_person(shop[2]), run_id).version_id
    assert version is not None
    return version


# Who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["manager", "admin"])
def test_managers_and_admins_write(desk: World, shop: Shop, page: Page, writer: UUID, role: str) -> None:
    test = page(person=shop[2] if role == "manager" else desk.person(shop[0], "admin"))
    test.text_area[0].input(BRIEFING).run()
    test = press(test, "Write the script")
    assert desk.value("select count(*) from public.pipeline_runs") == 1


@pytest.mark.usefixtures("writer")
def test_nobody_else_does(desk: World, shop: Shop, open_page: Opened) -> None:
    finance = open_page(desk.person(shop[0], "finance"), "scripts", script_part="Write")
    assert "Your role does not open this page" in texts(finance)
    stranger = desk.person(shop[0], "manager", desk.store(shop[0]))
    assert "asks" not in texts(open_page(stranger, "scripts", slug(desk, shop[1])))
    assert "This page works for one store" in texts(open_page(stranger, "scripts", slug(desk, shop[1])))
    assert "session has ended" in texts(open_page(None, "scripts"))


def test_ids_of_others_are_not_found(desk: World, page: Page, open_page: Opened, work, writer: UUID) -> None:
    account = desk.company()
    store = desk.store(account)
    other = (account, store, desk.person(account, "manager", store))
    theirs = assistant_of(desk, other, "Theirs")
    version = write(desk, other, theirs, work)
    run = desk.value("select id from public.pipeline_runs")
    assert "not one of this store's" in texts(page("Runs", run=str(run)))
    assert "not one of this store's" in texts(page("Versions", assistant=str(theirs), version=str(version)))
    assert "Theirs" not in texts(page("Assistants", assistant=str(theirs)))
    assert "not one of this store's" in texts(page("Write", run=str(run)))


# Empty ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "sentence"),
    [("Write", "Make an assistant first"), ("Runs", "Nothing was written here yet"),
     ("Versions", "there are no versions"), ("Assistants", "A new assistant begins")],
)  # fmt: skip
def test_a_store_without_anything_says_what_to_do_first(page: Page, part: str, sentence: str) -> None:
    assert sentence in texts(page(part))


# Assistants -------------------------------------------------------------------------------------------------------


def test_an_assistant_from_a_template_without_a_key_practises(desk: World, page: Page) -> None:
    test = press(page(), "Make an assistant")
    assert "not by AI" in texts(test)
    press(test, "Make the assistant")
    (row,) = desk.rows("select name, models from public.assistants")
    assert row["name"] == "Offer of the week"
    assert set(row["models"].values()) == {practice.MODEL}


def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_lost(desk: World, page: Page) -> None:
    test = page("Assistants", assistant="new")
    field = {box.label: box for box in [*test.text_input, *test.text_area]}
    field["Name"].input("Mine")
    field["Language"].input("English!")
    test = press(test, "Make the assistant")
    assert "The language must be a code" in texts(test)
    assert {box.label: box.value for box in test.text_input}["Name"] == "Mine"
    next(box for box in test.text_input if box.label == "Language").input("de")
    next(box for box in test.text_area if box.label.startswith("Template")).input("no place for it")
    test = press(test, "Make the assistant")
    assert "The template must hold {content}" in texts(test)
    next(box for box in test.text_area if box.label.startswith("Template")).input("<s>{content}</s>")
    press(test, "Make the assistant")
    assert desk.rows("select name, language, template from public.assistants") == [
        {"name": "Mine", "language": "de", "template": "<s>{content}</s>"}
    ]


def test_an_assistant_is_changed_and_anothers_change_is_told(desk: World, shop: Shop, page: Page, writer: UUID) -> None:
    test = page("Assistants", assistant=str(writer))
    saved = assistants.get(desk.as_person(shop[2]), writer)
    theirs = Assistant(name="Theirs", models=PRACTICE)
    assistants.save(desk.as_person(shop[2]), writer, shop[1], Values(assistant=theirs), saved.version)
    next(box for box in test.text_input if box.label == "Name").input("Ours")
    test = press(test, "Save")
    assert "Somebody else has changed this assistant" in texts(test)
    press(test, "Save")
    assert assistants.get(desk.as_person(shop[2]), writer).name == "Ours"


def test_an_assistant_is_put_away_and_brought_back(desk: World, page: Page, writer: UUID) -> None:
    test = press(page("Assistants"), "Archive it")
    assert desk.value("select archived_at is not null from public.assistants")
    press(test, "Bring it back")
    assert desk.value("select archived_at is null from public.assistants")


def test_a_model_that_retires_is_warned_of(desk: World, shop: Shop, page: Page) -> None:
    assistant_of(desk, shop, models=PhaseModels(prompt_generation="gemini-2.0-flash"))
    assert "has been retired" in texts(page("Assistants"))
    assert "has been retired" in texts(page("Write"))


# Writing ----------------------------------------------------------------------------------------------------------


def test_from_a_briefing_to_a_version_to_voice(desk: World, shop: Shop, page: Page, work, writer: UUID) -> None:
    test = page()
    test.text_area[0].input(BRIEFING).run()
    assert "Practice: written by fixed rules" in texts(test)
    assert [metric.value for metric in test.metric] == ["free", "free", "$10.00"]
    test = press(test, "Write the script")
    assert "Cancel" in labels(test)
    work(desk)
    test.run()
    assert not test.exception
    version = versions.of_assistant(desk.as_person(shop[2]), writer)[0]
    assert version.content in texts(test)
    assert "Nothing was charged" in texts(test).replace("\\", "")
    assert test.text_area[0].value == BRIEFING
    test.query_params["script"] = str(version.id)
    test.switch_page("../pages/voice.py").run()
    assert test.text_area(key="voice_text").value == version.content


def test_a_script_for_a_clip_is_filed_under_it(
    desk: World, shop: Shop, page: Page, open_page: Opened, work, writer: UUID
) -> None:
    clip = desk.clip(shop[1], desk.project(shop[1]), name="Rye")
    desk.clip(shop[1], desk.project(shop[1]), name="Other")
    test = page(clip=str(clip))
    assert test.selectbox(key=f"script_clip_{shop[1]}").value == clip
    test.text_area[0].input(BRIEFING).run()
    press(test, "Write the script")
    work(desk)
    (run,) = desk.rows("select id, clip_id from public.pipeline_runs")
    assert run["clip_id"] == clip
    assert {row["clip_id"] for row in desk.rows("select clip_id from public.cost_entries")} == {clip}
    finance = open_page(desk.person(shop[0], "finance"), "costs")
    assert "Scripts by assistant" in [header.value for header in finance.header]
    assert "1 run for $0.00 in all" in texts(page("Assistants")).replace("\\", "")
    assert "For the clip Rye" in [link.label for link in page("Runs", run=str(run["id"])).get("page_link")]


def test_what_stood_in_voice_can_be_brought_back(
    desk: World, shop: Shop, work, open_page: Opened, writer: UUID
) -> None:
    version = write(desk, shop, writer, work)
    versions.set_status(desk.as_person(shop[2]), version, "deployed")
    test = open_page(shop[2], "voice", slug(desk, shop[1]))
    test.text_area(key="voice_text").input("Typed before").run()
    test = press(test, "Use the deployed script")
    assert "rye" in test.text_area(key="voice_text").value
    test = press(test, "Bring back")
    assert test.text_area(key="voice_text").value == "Typed before"


def test_a_version_becomes_a_caption(desk: World, open_page: Opened, work) -> None:
    place = publishing(desk, networks=("instagram",))
    whose = (place.account, place.store, place.manager)
    version = write(desk, whose, assistant_of(desk, whose), work)
    test = open_page(place.manager, "publish", f"s-{place.store}", post_part="Write", script=str(version))
    assert not test.exception
    caption = next(box for box in test.text_area if box.label == "Caption")
    assert caption.value == versions.get(desk.as_person(place.manager), version).content


def test_a_run_is_cancelled(desk: World, page: Page, writer: UUID) -> None:
    test = page()
    test.text_area[0].input(BRIEFING).run()
    test = press(press(test, "Write the script"), "Cancel")
    assert desk.value("select status from public.pipeline_runs") == "cancelled"
    assert "Cancelled" in texts(test)


def test_a_failed_run_is_retried(desk: World, shop: Shop, page: Page, work, writer: UUID) -> None:
    run_id = runs.start(desk.as_person(shop[2]), uuid4(), writer, BRIEFING)
    desk.execute("update public.jobs set status = 'failed', error = 'It broke.' where id = %s", run_id)
    test = page("Runs", run=str(run_id))
    assert "It broke." in texts(test)
    press(test, "Retry")
    work(desk)
    assert desk.value("select status from public.pipeline_runs") == "completed"


def test_without_a_key_it_says_what_to_add_and_offers_practice(desk: World, shop: Shop, page: Page) -> None:
    assistant_of(desk, shop, models=PhaseModels())
    test = page()
    assert "its key is missing" in texts(test)
    assert "An admin can add it under Settings" in texts(test)
    test = press(test, "Practise instead")
    assert "It begins with the practice writer" in texts(test)


def connect(desk: World, shop: Shop) -> None:
    """A saved Gemini account that the store uses."""
    key, whose = uuid4(), {"account_id": shop[0], "profile_id": shop[1], "provider": "gemini"}
    desk.insert("private.sealed_keys", id=key, ciphertext=f"v1.{'0' * 16}.sealed", **whose)
    desk.insert("public.profile_credentials", id=uuid4(), key_id=key, last4="last", **whose)


def price(desk: World, shop: Shop, usd: str) -> None:
    for kind in ("input_tokens", "cached_tokens", "output_tokens"):
        desk.price(shop[0], "gemini", "gemini-3.8-flash", usd, kind=kind, per=1_000_000)


def test_a_model_without_prices_sends_to_the_admin(desk: World, shop: Shop, page: Page) -> None:
    assistant_of(desk, shop, models=PhaseModels())
    connect(desk, shop)
    test = page()
    test.text_area[0].input(BRIEFING).run()
    assert "An admin must set them under Admin → Prices" in texts(test)


def test_over_quota_the_refusal_is_explained(desk: World, shop: Shop, page: Page) -> None:
    assistant_of(desk, shop, models=PhaseModels())
    connect(desk, shop)
    price(desk, shop, "10")
    test = page()
    test.text_area[0].input(BRIEFING).run()
    assert "The month may not cover the whole run" not in texts(test)
    desk.spend(shop[1], "9.99")
    test.run()
    assert "The month may not cover the whole run" in texts(test)
    test = press(test, "Write the script")
    assert "does not cover it. Nothing was bought." in texts(test)
    assert "Shorten the briefing" in texts(test)
    assert desk.value("select count(*) from public.pipeline_runs") == 0
    assert test.text_area[0].value == BRIEFING


def test_a_briefing_that_is_too_long_is_told_beside_it(desk: World, page: Page, writer: UUID) -> None:
    test = page()
    test.text_area[0].input("x " * 300_001).run()
    if "Write the script" in " ".join(labels(test)):
        test = press(test, "Write the script")
    assert "600,000" in texts(test)
    assert desk.value("select count(*) from public.pipeline_runs") == 0


# Runs -------------------------------------------------------------------------------------------------------------


def test_runs_are_narrowed_and_opened(desk: World, shop: Shop, page: Page, work, writer: UUID) -> None:
    other = assistant_of(desk, shop, "Other")
    write(desk, shop, writer, work)
    assert "**Baker**" in texts(page("Runs"))
    assert "No run matches" in texts(page("Runs", assistant=str(other)))
    assert "No run matches" in texts(page("Runs", script_state="Failed"))
    test = press(page("Runs", assistant=str(writer), script_state="Completed"), "Open")
    assert "Findings on the first text" in " ".join(box.label for box in test.expander)
    assert "no phase was charged" in texts(test)
    (table,) = test.dataframe
    assert list(table.value["Phase"][:2]) == ["Writing", "Judging"]
    assert set(table.value["Model"]) == {"Practice writer"}


# Versions ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(desk: World, shop: Shop, work, writer: UUID) -> tuple[UUID, UUID]:
    """Two versions, the first one deployed."""
    first = write(desk, shop, writer, work)
    second = write(desk, shop, writer, work, BRIEFING.replace("4 euros", "5 euros"))
    versions.set_status(desk.as_person(shop[2]), first, "deployed")
    return first, second


def test_deploying_takes_the_others_place_and_back(desk: World, page: Page, two, writer: UUID) -> None:
    first, second = map(str, two)
    test = press(page("Versions", assistant=str(writer), version=second), "Deploy v2 instead of v1")
    states = {row["number"]: row["status"] for row in desk.rows("select number, status from public.prompt_versions")}
    assert states == {1: "final", 2: "deployed"}
    test = page("Versions", assistant=str(writer), version=first)
    assert "v2 is deployed now" in texts(test)
    press(test, "Deploy v1 instead of v2")
    assert desk.value("select number from public.prompt_versions where status = 'deployed'") == 1


def test_the_deployed_version_is_shown_first(page: Page, two, writer: UUID) -> None:
    test = page("Versions", assistant=str(writer))
    assert "Voice and Publish offer it first" in texts(test)
    assert list(test.dataframe[0].value["State"]) == ["Draft", "Deployed"]


def test_states_and_notes(desk: World, page: Page, two, writer: UUID) -> None:
    address = {"assistant": str(writer), "version": str(two[1])}
    press(page("Versions", **address), "Finalize")
    test = press(page("Versions", **address), "Archive")
    assert desk.value("select status from public.prompt_versions where id = %s", two[1]) == "archived"
    next(box for box in test.text_area if box.label == "Notes").input("Too loud")
    press(test, "Save the notes")
    assert desk.value("select notes from public.prompt_versions where id = %s", two[1]) == "Too loud"
    test = page("Versions", **address)
    next(box for box in test.text_area if box.label == "Notes").input("x" * 5_001)
    assert "Notes have at most 5,000 characters" in texts(press(test, "Save the notes"))


def test_two_versions_side_by_side(page: Page, two, writer: UUID) -> None:
    test = page("Versions", assistant=str(writer), version=str(two[1]), against=str(two[0]))
    shown = " ".join(block.proto.body for block in test.get("html"))
    assert "v1 and v2" in " ".join(header.value for header in test.subheader)
    assert "<del>4 </del>" in shown or "<del>4" in shown
    assert "<ins>5" in shown


# Prices -----------------------------------------------------------------------------------------------------------


def test_an_admin_prices_a_writing_model_in_one_form(desk: World, shop: Shop, open_page: Opened) -> None:
    test = open_page(desk.person(shop[0], "admin"), "admin", part="Prices")
    test = press(test, "Fill in the vendor's list price of 7 Oct 2026")
    test = press(test, "Set prices")
    rows = desk.rows(
        "select unit_kind, usd::text, per_units from public.prices where provider = 'gemini' and model = %s order by 1",
        "gemini-3.8-flash",
    )
    assert [(row["unit_kind"], float(row["usd"]), row["per_units"]) for row in rows] == [
        ("cached_tokens", 0.075, 1_000_000), ("input_tokens", 0.75, 1_000_000), ("output_tokens", 3.75, 1_000_000)
    ]  # fmt: skip


def test_a_wrong_price_is_told_beside_it_and_none_is_set(desk: World, shop: Shop, open_page: Opened) -> None:
    test = open_page(desk.person(shop[0], "admin"), "admin", part="Prices")
    test = press(test, "Fill in the vendor's list price of 7 Oct 2026")
    next(box for box in test.text_input if box.label.startswith("Output")).input("0")
    test = press(test, "Set prices")
    assert "0 means free" in texts(test)
    assert desk.value("select count(*) from public.prices where provider = 'gemini'") == 0
    assert next(box for box in test.text_input if box.label.startswith("Input:")).value == "0.75"
