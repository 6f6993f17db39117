"""Company, person and store by the names that an operator types at a command. Needs the worker's door."""

from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from services.database.door import Database


class Store(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: UUID
    code: str
    slug: str
    name: str
    archived: bool

    @property
    def label(self) -> str:
        return f"{self.code} · {self.name}"


class Target(BaseModel):
    """A company, one of its people, and its stores."""

    model_config = ConfigDict(frozen=True)

    account_id: UUID
    company: str
    person_id: UUID
    person: str
    stores: list[Store]

    @classmethod
    def find(cls, database: Database, company: str, email: str) -> Self:
        """By the company's short name and the person's address. Raises `NotFound`."""
        return cls.model_validate(database.call("import_target", p_company=company, p_email=email))

    def store(self, name: str) -> Store | None:
        """By number, else short name, else name; None where none or several have it. Archived ones do not count."""
        for attribute in ("code", "slug", "name"):
            found = [s for s in self.stores if not s.archived and getattr(s, attribute).lower() == name.lower()]
            if len(found) == 1:
                return found[0]
        return None
