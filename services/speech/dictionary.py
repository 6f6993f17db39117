"""A store's pronunciation dictionary: how its brand names are said. Applied to every voice."""

from typing import ClassVar
from uuid import UUID

from services.database.door import Database, Row


class Pronunciation(Row):
    table: ClassVar[str] = "pronunciations"

    profile_id: UUID
    term: str
    say: str


def words(database: Database, profile_id: UUID) -> list[Pronunciation]:
    """A store's dictionary by term; 500 words at most."""
    return database.select(Pronunciation, [("profile_id", "eq", profile_id)], order=[("term", "asc")])


def entries(database: Database, profile_id: UUID) -> dict[str, str]:
    """As `pronunciation.apply` takes it."""
    return {word.term: word.say for word in words(database, profile_id)}


def say(database: Database, profile_id: UUID, term: str, said: str) -> None:
    """Add or change a word. Raises `InvalidInput` (field `term` or `say`), `NotAllowed`, `NotFound`."""
    database.call("set_pronunciation", p_profile_id=profile_id, p_term=term, p_say=said)


def forget(database: Database, profile_id: UUID, term: str) -> None:
    """Remove a word; one that is not there is no error. Raises `NotAllowed`, `NotFound`."""
    database.call("remove_pronunciation", p_profile_id=profile_id, p_term=term)
