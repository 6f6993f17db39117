"""A store that writes with a played Gemini: its account, prices and assistant, and workers that may be killed."""

import json
import shutil
import signal
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

from pydantic import SecretStr

from services import credentials, vault
from services.config import Settings
from services.database.door import Database
from services.database.embedded import Server
from services.jobs import attempt
from services.jobs.handlers import HANDLERS, Handler
from services.media.folder import Folder
from services.scripts import assistants, runs
from services.scripts.assistants import Values
from services.scripts.phases import Assistant, PhaseModels
from tests import kill
from tests.builders import World
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini_wire import Charge, Turn

MODEL = "gemini-3.8-flash"
BRIEFING = "Our bakery opens at six. The bread is baked with old grains. Two rolls cost one dollar."
PRICES = {"input_tokens": "0.75", "cached_tokens": "0.075", "output_tokens": "3.75"}  # US dollars a million
PER = Decimal(1_000_000)
ORDERS = ["script", "captions", "cover"]  # kinds of jobs


def draft(script: str = "Fresh bread at six.") -> Turn:
    return Turn(json.dumps({"title": "Bread", "script": script, "notes": ""}), thinking=40)


def review(score: int, *findings: str) -> Turn:
    found = [{"what": what, "how": "Mend it."} for what in findings or ("It is flat.",)]
    return Turn(json.dumps({"score": score, "findings": found, "language": "en"}), thinking=25)


def improved(script: str) -> Turn:
    return Turn(json.dumps({"script": script, "changes": ["Livelier."]}), thinking=30)


def story(*, scores: tuple[int, ...] = (60, 90)) -> list[Turn]:
    """The answers of a run whose texts get these scores: a draft, then one improvement after the other."""
    turns = [draft(), review(scores[0])]
    for number, score in enumerate(scores[1:], 1):
        turns += [improved(f"Fresh bread at six, text {number}."), review(score)]
    return turns


@dataclass
class Newsroom:
    world: World
    server: Server
    folder: Folder
    fake: FakeGemini
    data: Path  # where keys and spool lie
    account: UUID
    store: UUID
    manager: UUID
    assistant: UUID = field(init=False)

    @classmethod
    def open(cls, world: World, server: Server, folder: Folder, fake: FakeGemini, quota: str = "10") -> Self:
        account = world.company()
        store = world.store(account, quota=quota)
        data = Path(folder.path("speech/x")).parents[2] / "data"
        room = cls(world, server, folder, fake, data, account, store, world.person(account, "manager", store))
        vault.note(world.as_worker(), room.options)
        admin = world.as_person(world.person(account, "admin"))
        credentials.save(admin, room.options, account, None, "gemini", fake.url, SecretStr(fake.key), shared=True)
        for kind, usd in PRICES.items():
            world.price(account, "gemini", MODEL, usd, kind=kind, per=1_000_000)
        world.execute("delete from public.jobs")  # the test of the key
        kill.quiet(world)
        room.assistant = room.hire()
        return room

    @property
    def options(self) -> Settings:
        return kill.options(clipdesk_data=self.data, allow_private_addresses=True, job_lease_seconds=600)

    @property
    def door(self) -> Database:
        return self.world.as_person(self.manager)

    def hire(self, store: UUID | None = None, door: Database | None = None, **changes: Any) -> UUID:
        made = uuid4()
        models = PhaseModels(prompt_generation=MODEL, prompt_analysis=MODEL, prompt_improvement=MODEL)
        assistant = Assistant(**{"name": "Ann", "models": models, "max_rounds": 1, **changes})
        assistants.save(door or self.door, made, store or self.store, Values(assistant=assistant))
        return made

    def order(self, assistant: UUID | None = None, briefing: str = BRIEFING) -> UUID:
        return runs.start(self.door, uuid4(), assistant or self.assistant, briefing)

    # Workers ------------------------------------------------------------------------------------------------

    def work(self, handler: Handler | None = None) -> dict[str, Any]:
        """Take up the oldest waiting order in this thread; returns its job's row, or nothing where none waits."""
        found = self.world.as_worker().call("claim_job", p_worker="hand", p_kinds=ORDERS, p_lease_seconds=600)
        if found is None:
            return {}
        context = kill.Context(kill.Claimed.model_validate(found), self.world.as_worker(), self.folder, self.options)
        attempt.run(context, handler or HANDLERS[context.job.kind])
        return kill.job_row(self.world, context.job.id)

    def finish(self, job_id: UUID) -> dict[str, Any]:
        """Let time pass and work until the order has ended."""
        for _ in range(8):
            self.time_passes()
            row = kill.job_row(self.world, job_id)
            if row["status"] in ("completed", "failed", "cancelled"):
                return row
            self.work()
        raise AssertionError(f"still {row['status']}: {row['message']}")

    def time_passes(self) -> None:
        """Leases run out, deadlines pass, waits are over."""
        for change in (
            "update public.jobs set lease_until = now() - interval '1 second' where status = 'running'",
            "update public.jobs set run_after = now() where status = 'pending'",
            "update public.purchases set deadline = now() - interval '1 hour' where state = 'sent'",
        ):
            self.world.execute(change)

    def die_at(self, place: str) -> None:
        """Run a worker process until it dies there."""
        name = self.world.admin.info.dbname
        settings = kill.environment(self.server, name, self.folder.path("x").parent, kill_at=place, lease=60)
        keys = (self.data / "vault" / vault.PRIVATE).read_text("ascii").split()[0]
        settings |= {"CLIPDESK_DATA": str(self.data), "ALLOW_PRIVATE_ADDRESSES": "1", "VAULT_KEYS": keys}
        worker = kill.Forked(settings)
        try:
            assert worker.wait(kill.PATIENCE) == -signal.SIGKILL, place
        finally:
            kill.kill(worker)

    def forget_spool(self) -> None:
        """Another machine goes on: this one's disk is out of reach."""
        shutil.rmtree(self.options.spool_folder, ignore_errors=True)

    # Facts --------------------------------------------------------------------------------------------------

    def entries(self, run_id: UUID | None = None) -> list[dict[str, Any]]:
        """Of a run, or all."""
        return self.world.rows(
            "select * from public.cost_entries where %s::uuid is null or run_id = %s order by seq", run_id, run_id
        )

    def phases(self, run_id: UUID) -> list[str]:
        return [row["operation"] for row in self.entries(run_id)]

    def assert_books_equal_the_bill(self) -> None:
        assert sorted(row["cost_usd"] for row in self.entries()) == sorted(map(cost, self.fake.bill))
        assert self.world.money_differences() == []


def cost(charge: Charge) -> Decimal:
    """What a charge costs, rounded as an entry is."""
    units = {
        "input_tokens": charge.prompt - charge.cached, "cached_tokens": charge.cached, "output_tokens": charge.output,
    }  # fmt: skip
    usd = sum((Decimal(PRICES[kind]) * count for kind, count in units.items()), Decimal(0)) / PER
    return usd.quantize(Decimal("0.000001"), ROUND_HALF_UP)
