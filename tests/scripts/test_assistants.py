"""Assistants: made, changed, put away and brought back, by who may; what is wrong is said with its field."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from services.errors import Conflict, InvalidInput, NotAllowed, NotFound
from services.scripts import assistants, models, practice
from services.scripts.assistants import Values
from services.scripts.phases import PHASES, Assistant, PhaseModels
from tests.builders import World
from tests.jobs.fixtures import Shop

PRACTICE = PhaseModels.model_validate(dict.fromkeys(PHASES, practice.MODEL))


def values(name: str = "Baker", *, external_id: str | None = None, template: str = "", **changes: Any) -> Values:
    told = Assistant(name=name, **{"models": PRACTICE, **changes})
    return Values(assistant=told, external_id=external_id, template=template)


def made(shop: Shop, **changes: Any) -> UUID:
    id_ = uuid4()
    assistants.save(shop.database, id_, shop.store, values(**changes))
    return id_


def test_all_that_is_said_of_an_assistant_is_kept(shop: Shop) -> None:
    told = values(
        "  Anna\n of the ovens ", external_id=" a-1 ", template="{title}: {content}", instructions="Short.",
        tone="warm", language="pt-BR", banned_words=("cheap", "cheap", " "), thinking="high",
        target_score="87.5", max_rounds=0, max_characters=40_000,
    )  # fmt: skip
    id_ = uuid4()
    assert assistants.save(shop.database, id_, shop.store, told) == 1
    saved = assistants.get(shop.database, id_)
    assert (saved.name, saved.external_id, saved.template) == ("Anna of the ovens", "a-1", "{title}: {content}")
    assert (saved.instructions, saved.tone, saved.language) == ("Short.", "warm", "pt-BR")
    assert (saved.banned_words, saved.thinking, str(saved.target_score)) == (["cheap"], "high", "87.50")
    assert (saved.max_rounds, saved.max_characters, saved.practises) == (0, 40_000, True)


def test_the_same_click_again_makes_no_second_one(shop: Shop) -> None:
    id_ = made(shop)
    assert assistants.save(shop.database, id_, shop.store, values("Late")) == 1
    assert [one.name for one in assistants.of_store(shop.database, shop.store)] == ["Baker"]


def test_a_change_over_anothers_is_refused(shop: Shop) -> None:
    id_ = made(shop)
    assert assistants.save(shop.database, id_, shop.store, values("First"), 1) == 2
    with pytest.raises(Conflict, match="Somebody else"):
        assistants.save(shop.database, id_, shop.store, values("Second"), 1)
    assert assistants.get(shop.database, id_).name == "First"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("name", ""), ("name", "x" * 201), ("language", "English!"), ("target_score", 101), ("target_score", "much"),
     ("max_rounds", 11), ("max_characters", 99), ("instructions", "x" * 20_001), ("tone", "x" * 501),
     ("banned_words", ["x"] * 501), ("thinking", "hard")],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_field(field: str, wrong: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        assistants.checked({"name": "Baker", "models": PRACTICE, field: wrong})
    assert caught.value.field == field
    assert str(caught.value) == assistants.WRONG[field]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("name", " "), ("language", "EN"), ("target_score", "much"), ("max_rounds", "-1"), ("max_characters", "40001"),
     ("template", "no place"), ("models", {"prompt_generation": "practice"}), ("banned_words", "none"),
     ("thinking", "hard"), ("instructions", "x" * 20_001), ("tone", "x" * 501)],
)  # fmt: skip
def test_the_database_says_so_too(shop: Shop, field: str, wrong: object) -> None:
    told = values().as_json() | {field: wrong}
    with pytest.raises(InvalidInput) as caught:
        shop.database.call("save_assistant", p_id=uuid4(), p_profile_id=shop.store, p_values=told, p_version=None)
    assert caught.value.field == field


def test_a_model_that_is_gone_is_not_taken() -> None:
    with pytest.raises(InvalidInput, match="retired") as caught:
        assistants.checked({"name": "Baker", "models": {"prompt_generation": "gemini-2.0-flash"}})
    assert caught.value.field == "model"


def test_an_external_id_is_once_a_company(world: World, shop: Shop) -> None:
    made(shop, external_id="a-1")
    with pytest.raises(Conflict, match="external id"):
        made(shop, name="Other", external_id="a-1")
    account = world.company()
    store = world.store(account)
    elsewhere = Shop(account, store, shop.manager, world.as_person(world.person(account, "manager", store)))
    made(elsewhere, external_id="a-1")


def test_archived_ones_come_back(shop: Shop) -> None:
    id_ = made(shop)
    assistants.archive(shop.database, id_)
    assert assistants.of_store(shop.database, shop.store) == []
    assert [one.id for one in assistants.of_store(shop.database, shop.store, archived=True)] == [id_]
    assistants.archive(shop.database, id_, archive=False)
    assert [one.id for one in assistants.of_store(shop.database, shop.store)] == [id_]


def test_who_may_change_them(world: World, shop: Shop) -> None:
    id_ = made(shop)
    admin = world.as_person(world.person(shop.account, "admin"))
    assert assistants.save(admin, id_, shop.store, values("By the admin"), 1) == 2
    finance = world.as_person(world.person(shop.account, "finance"))
    assert assistants.get(finance, id_).name == "By the admin"
    for change in (
        lambda door: assistants.save(door, id_, shop.store, values("Mine"), 2),
        lambda door: assistants.archive(door, id_),
    ):
        with pytest.raises(NotAllowed):
            change(finance)
        stranger = world.as_person(world.person(shop.account, "manager", world.store(shop.account)))
        with pytest.raises(NotFound):
            change(stranger)
        with pytest.raises(NotAllowed):
            change(world.doors.anonymous())
    with pytest.raises(NotFound):
        assistants.get(stranger, id_)
    assert assistants.get(admin, id_).name == "By the admin"


def test_an_assistant_does_not_move_to_another_store(world: World, shop: Shop) -> None:
    other = world.store(shop.account)
    world.insert("public.profile_members", profile_id=other, account_id=shop.account, person_id=shop.manager)
    id_ = made(shop)
    with pytest.raises(Conflict):
        assistants.save(shop.database, id_, other, values("Moved"), 1)
    with pytest.raises(NotFound):
        assistants.save(shop.database, id_, other, values("Moved"))
    assert assistants.get(shop.database, id_).profile_id == shop.store


def test_what_was_done_is_in_the_log(world: World, shop: Shop) -> None:
    id_ = made(shop)
    assistants.archive(shop.database, id_)
    assistants.archive(shop.database, id_, archive=False)
    actions = [row["action"] for row in world.rows("select action from public.audit_log order by at, id")]
    assert actions == ["assistant_saved", "assistant_archived", "assistant_restored"]


def test_templates_are_complete() -> None:
    for name, template in assistants.templates(models.DEFAULT).items():
        assert template.name == name
        assert assistants.checked(template.model_dump()) == template
