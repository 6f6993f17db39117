"""The error tree: each class is named once, can be reached, and says nothing that the server said."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from services import errors
from services.config import ROOT
from services.errors import BY_SQLSTATE, AppError, Refusal, from_sqlstate

CLASSES = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, AppError)}
SERVER_TEXT = 'duplicate key value violates unique constraint "secret_pkey"'
SOURCES = [path.read_text("utf-8") for path in (ROOT / "services").rglob("*.py")]
SQL = [path.read_text("utf-8") for folder in ("supabase", "services") for path in (ROOT / folder).rglob("*.sql")]


def tree() -> dict[str, str]:
    """The tree that the module's docstring draws: class → base."""
    bases: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if drawn := re.match(r"([│ ]*)[├└]── (\w+)", line):
            depth = len(drawn[1]) // 4
            path[depth:] = [drawn[2]]
            bases[drawn[2]] = path[depth - 1] if depth else "AppError"
    return bases


def test_the_drawn_tree_is_the_real_one() -> None:
    real = {name: kind.__base__.__name__ for name, kind in CLASSES.items() if kind is not AppError and kind.__base__}
    assert tree() == real


def test_errors_of_the_product_live_in_one_place() -> None:
    names = "|".join(CLASSES)
    elsewhere = [text for text in SOURCES if re.search(rf"class \w+\((?:errors\.)?(?:{names})\)", text)]
    assert len(elsewhere) == 1, "an error class outside services/errors.py"


@pytest.mark.parametrize("name", [name for name in CLASSES if name != "AppError"])
def test_every_class_is_raised_by_the_program_or_by_the_database(name: str) -> None:
    raised = any(re.search(rf"(raise |Meaning\(\s*){name}\b", text) for text in SOURCES)
    assert raised or CLASSES[name] in BY_SQLSTATE.values()


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES)
def test_every_class_has_a_sentence_of_its_own(kind: type[AppError]) -> None:
    assert str(kind()) == kind.sentence
    assert re.fullmatch(r"[A-Z].*\.", kind.sentence)
    assert kind is AppError or kind.sentence != AppError.sentence
    assert str(kind("Said better.")) == "Said better."


# SQLSTATEs --------------------------------------------------------------------------------------------------


def test_every_state_that_our_sql_raises_is_mapped() -> None:
    raised = {state for text in SQL for state in re.findall(r"'(PT\d{3})'", text)}
    assert len(raised) > 6
    assert raised <= BY_SQLSTATE.keys()


@pytest.mark.parametrize("state", [*BY_SQLSTATE, "XX000", "P0001", "08006", "99999", "", None])
def test_the_server_s_words_are_never_shown(state: str | None) -> None:
    error = from_sqlstate(state, SERVER_TEXT, '{"field": "secret"}')
    if state and state.startswith("PT"):
        assert str(error) == SERVER_TEXT
    else:
        assert str(error) == type(error).sentence
        assert "secret" not in repr(vars(error))


@pytest.mark.parametrize("state", ["08000", "08006", "57P01", None])
def test_lost_connections_are_worth_another_try(state: str | None) -> None:
    assert type(from_sqlstate(state, "", None)) is errors.Unavailable


def test_what_was_never_heard_of_is_the_base_class() -> None:
    assert type(from_sqlstate("XX000", SERVER_TEXT, None)) is AppError


@pytest.mark.parametrize("detail", [None, "", "not json", "[1]", "7", "null", '{"other": 1}'])
def test_a_detail_without_facts_is_no_obstacle(detail: str | None) -> None:
    for state in ("PT400", "PT404", "PT429"):
        assert str(from_sqlstate(state, "Told.", detail)) == "Told."


def test_a_refusal_carries_exact_amounts() -> None:
    detail = (
        '{"error": "quota_exceeded", "message": "No.", "scope": "store", "current_costs": "0.1", "held": "0.2",'
        ' "estimate": "99999999.999999", "monthly_quota": "0.30", "shortfall": "0.000001"}'
    )
    error = from_sqlstate("PT402", "No.", detail)
    assert isinstance(error, errors.QuotaExceeded)
    assert error.refusal == Refusal(
        message="No.", scope="store", current_costs=Decimal("0.1"), held=Decimal("0.2"),
        estimate=Decimal("99999999.999999"), monthly_quota=Decimal("0.30"), shortfall=Decimal("0.000001"),
    )  # fmt: skip
    bare = from_sqlstate("PT402", "No.", None)
    assert isinstance(bare, errors.QuotaExceeded)
    assert bare.refusal is None


def test_pages_show_no_error_but_ours() -> None:
    """No page or piece of the shell catches more than `AppError`."""
    wide = re.compile(r"except(?: \(?(?:Base)?Exception| *:)")
    files = [path for folder in ("pages", "ui") for path in (ROOT / folder).rglob("*.py")]
    assert [path.name for path in files if wide.search(Path(path).read_text("utf-8"))] == []
