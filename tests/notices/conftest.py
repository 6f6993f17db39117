"""A company whose people are told of things, a mail server, and a worker's hand."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from services import vault
from services.config import Settings
from services.notices import delivery, inbox, webhook
from services.notices.inbox import Notice
from tests import kill
from tests.builders import World
from tests.fakes.smtp import FakeSmtp
from tests.jobs.fixtures import (  # noqa: F401 - pytest finds fixtures by their names here
    database,
    folder,
    shared_world,
    start,
    world,
)


@dataclass
class Town:
    """A company with two stores, a manager for each, an admin and finance."""

    world: World
    account: UUID
    quay: UUID
    hill: UUID
    people: dict[str, UUID]

    def tell(self, kind: str = "credential_dead", text: str = "Broken.", store: UUID | None = None, **more: Any) -> Any:
        return inbox.publish(self.world.as_worker(), self.account, kind, text, profile_id=store, **more)

    def inbox_of(self, name: str) -> list[Notice]:
        return inbox.inbox(self.world.as_person(self.people[name]), self.account)

    def told(self) -> dict[str, list[str]]:
        """The kinds in each inbox that is not empty."""
        found = {name: [notice.kind for notice in self.inbox_of(name)] for name in self.people}
        return {name: kinds for name, kinds in found.items() if kinds}

    def deliveries(self) -> list[dict[str, Any]]:
        return self.world.rows("select * from private.notice_deliveries order by created_at, id")

    def states(self) -> list[str]:
        return sorted(row["state"] for row in self.deliveries())

    def hurry(self) -> None:
        """What waits for another try is due now, and every lease has run out."""
        self.world.execute(
            "update private.notice_deliveries"
            " set next_try = now() - interval '1 s', lease_until = now() - interval '1 s'"
        )


@pytest.fixture
def town(world: World) -> Town:  # noqa: F811 - the fixture above
    account = world.company()
    quay, hill = world.store(account, "Quay", quota="10"), world.store(account, "Hill", quota="10")
    people = {
        "admin": world.person(account, "admin"),
        "manager of Quay": world.person(account, "manager", quay),
        "manager of Hill": world.person(account, "manager", hill),
        "finance": world.person(account, "finance"),
    }
    return Town(world, account, quay, hill, people)


@pytest.fixture
def smtp() -> Iterator[FakeSmtp]:
    with FakeSmtp() as running:
        yield running


Send = Callable[..., dict[str, Any]]


@pytest.fixture
def send(world: World, folder: Any) -> Send:  # noqa: F811 - the fixtures above
    """send("email", **settings) runs one job of the channel; returns what it counted."""

    def run(channel: str, **values: Any) -> dict[str, Any]:
        world.execute("update public.jobs set status = 'cancelled' where status = 'pending'")
        world.job(f"send_{channel}")
        context = kill.claim(world, folder, f"send_{channel}", **values)
        return {"email": delivery.send_emails, "webhook": delivery.send_webhooks}[channel](context)

    return run


SECRET = "whsec_0123456789abcdef"


@pytest.fixture
def keys(tmp_path: Any) -> Settings:
    """Settings of a process that has the vault's keys and may call this machine."""
    return kill.options(clipdesk_data=tmp_path / "vault-keys", allow_private_addresses=True)


@pytest.fixture
def hook(town: Town, keys: Settings) -> Callable[[str], None]:
    """Save this address as the company's webhook."""

    def save(address: str) -> None:
        vault.note(town.world.as_worker(), keys)
        admin = town.world.as_person(town.people["admin"])
        webhook.save(admin, keys, town.account, address=address, secret=SECRET, enabled=True, version=None)

    return save
