"""Write a script from a briefing: `python -m services.scripts.run --help`.

The same run as on the Scripts page, ordered in a person's name: their rights, quotas, prices and ledger. A worker takes
it up; where none does, this process works it off. Phases go to standard error, the finished text to standard output.
Ends with 0 when there is a text, with 1 when there is none. Ctrl-C cancels between phases.
"""

import argparse
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

from services import logs, vault
from services.config import Settings, settings
from services.database.connect import process_doors
from services.database.door import Database
from services.errors import AppError, AttemptLost, Conflict, InvalidInput, Unavailable
from services.jobs import attempt, queue
from services.jobs.context import Claimed, Context
from services.jobs.worker import IDLE_FACTOR
from services.media.connect import workers_media
from services.scripts import assistants, pipeline, runs, versions
from services.scripts.assistants import SavedAssistant
from services.scripts.phases import LONGEST_BRIEFING
from services.scripts.runs import Quote, Run, Step
from services.scripts.target import Store, Target

LOOKS = 0.25  # seconds between two looks at the run
AGAIN = "Ctrl-C once more leaves it to the worker."


@dataclass
class Order:
    """What is wanted, and of whom."""

    database: Database
    options: Settings
    target: Target
    store: Store
    assistant: SavedAssistant
    briefing: str
    run_id: UUID = field(default_factory=uuid4)

    def quote(self) -> Quote:
        """What it would cost the person's store now. Raises as `runs.quote`, and `NotAllowed`."""
        return Quote.model_validate(
            self.database.call("script_quote_as", **self._whose(), p_assistant_id=self.assistant.id,
                               p_briefing=self.briefing)
        )  # fmt: skip

    def start(self) -> None:
        """Raises as `runs.start`, and `NotAllowed`."""
        self.database.call("start_script_as", **self._whose(), p_run_id=self.run_id, p_assistant_id=self.assistant.id,
                           p_briefing=self.briefing)  # fmt: skip

    def cancel(self) -> None:
        """Ask it to stop before its next phase; one that has ended stays as it is."""
        try:
            self.database.call("cancel_job_as", **self._whose(), p_job_id=self.run_id)
        except Conflict:
            return

    def _whose(self) -> dict[str, UUID]:
        return {"p_person_id": self.target.person_id, "p_profile_id": self.store.id}


# Following a run ------------------------------------------------------------------------------------------------------


class Follower:
    """Watches a run to its end, tells its phases, and works on it where no worker took it up for `patience` seconds."""

    def __init__(self, order: Order, patience: float) -> None:
        self._order = order
        self._patience = patience
        self._began = time.monotonic()
        self._told: dict[UUID, str] = {}
        self._context: Context | None = None
        self._thread: threading.Thread | None = None

    def follow(self) -> Run:
        """The run, once it has ended. Ctrl-C asks it to stop; the second one raises `KeyboardInterrupt`."""
        try:
            return self._until_it_ends()
        except KeyboardInterrupt:
            _say(f"Stopping before the next phase … {AGAIN}")
            self._order.cancel()
        return self._until_it_ends()

    def _until_it_ends(self) -> Run:
        while (run := self._look()) is None:
            time.sleep(LOOKS)
        return run

    def _look(self) -> Run | None:
        """The run if it has ended. Without an answer of the database it goes on: it is asked again."""
        with suppress(Unavailable, AttemptLost):
            run = runs.get(self._order.database, self._order.run_id)
            self._tell()
            if run.status != "running" and not queue.get_job(self._order.database, run.id).open:
                return run
            if self._context:
                self._context.keep()
            if time.monotonic() - self._began >= self._patience and not self._works():
                self._take_up()
        return None

    def _works(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _take_up(self) -> None:
        """Work on the run here, if it can be had."""
        order = self._order
        found = order.database.call(
            "claim_this_job",
            p_job_id=order.run_id,
            p_worker=f"{socket.gethostname()}:{os.getpid()}",
            p_lease_seconds=Decimal(str(order.options.job_lease_seconds)),
        )
        if not found:
            return
        vault.note(order.database, order.options)
        media = workers_media(order.options)
        self._context = Context(Claimed.model_validate(found), order.database, media, order.options)
        self._thread = threading.Thread(target=attempt.run, args=(self._context, pipeline.write), daemon=True)
        self._thread.start()

    def _tell(self) -> None:
        for step in runs.steps(self._order.database, self._order.run_id):
            if self._told.get(step.id) != step.status:
                self._told[step.id] = step.status
                _say(_phase(step))


def _phase(step: Step) -> str:
    said = f"{pipeline.SAID[step.phase]} ({step.model})"
    if step.status == "running":
        return f"{said} …"
    tokens = f"read {step.input_tokens:,}, again {step.cached_tokens:,}, wrote {step.output_tokens:,} tokens"
    score = f", score {step.output['score']:g}" if step.output and "score" in step.output else ""
    end = f": {step.error}" if step.status == "failed" and step.error else score
    return f"{said}: {step.status}, {tokens}, {_usd(step.cost_usd)}, {step.seconds or 0:.1f} s{end}"


def _outcome(order: Order, run: Run, output: Path | None) -> int:
    tokens = f"{run.input_tokens + run.cached_tokens + run.output_tokens:,} tokens"
    total = f"{tokens}, {_usd(run.total_cost_usd)}, {run.seconds or 0:.1f} s"
    if run.version_id is None:
        _say(f"{run.status.capitalize()}: {total}. {run.error or 'There is no text.'}")
        return 1
    version = versions.get(order.database, run.version_id)
    score = "" if version.final_score is None else f", score {version.final_score.normalize():f}"
    _say(f"{version.name} “{version.title}”{score}: {total}. {runs.BECAUSE.get(run.ended_because or '', '')}")
    _write(version.content, output)
    return 0


# The command ----------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    try:
        options = settings()
        logs.configure("error")
        briefing = _read(given.briefing)
        with process_doors(options) as opened:
            return _run(_order(opened.worker(), options, given, briefing), given)
    except AppError as exc:
        _say(str(exc))
        return 1
    except KeyboardInterrupt:
        _say("Left. The Jobs page shows what becomes of it.")
        return 1


def _run(order: Order, given: argparse.Namespace) -> int:
    if given.quote and not _agreed(order, given):
        _say("Nothing was ordered.")
        return 1
    order.start()
    _say(f"Run {order.run_id} of {order.assistant.name}, {order.store.label}, for {order.target.person}")
    patience = 0.0 if given.here else IDLE_FACTOR * order.options.job_poll_seconds + 1
    return _outcome(order, Follower(order, patience).follow(), given.output)


def _order(database: Database, options: Settings, given: argparse.Namespace, briefing: str) -> Order:
    target = Target.find(database, given.company, given.person)
    store = target.store(given.store)
    if store is None:
        raise InvalidInput(f"{target.company} has no store {given.store}; name it by its number.", "store")
    there = assistants.of_store(database, store.id)
    for name in ("external_id", "name"):
        named = [one for one in there if (getattr(one, name) or "").lower() == given.assistant.lower()]
        if len(named) == 1:
            return Order(database, options, target, store, named[0], briefing)
    known = ", ".join(one.name for one in there) or "none"
    raise InvalidInput(f"{store.label} has no assistant {given.assistant}, or several. It has: {known}.", "assistant")


def _agreed(order: Order, given: argparse.Namespace) -> bool:
    quote = order.quote()
    for phase in quote.phases:
        _say(f"{phase.phase} ({phase.model}): typically {_usd(phase.typical)}, at most {_usd(phase.largest)}")
    _say(f"The run: typically {_usd(quote.typical)}, at most {_usd(quote.largest)}")
    if given.yes:
        return True
    if not sys.stdin.isatty() or given.briefing == "-":
        raise InvalidInput("Nobody can be asked here. Nothing was ordered; --yes orders without asking.")
    sys.stderr.write("Order it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _read(name: str) -> str:
    """Raises `InvalidInput`."""
    most = 4 * LONGEST_BRIEFING  # bytes
    try:
        if name == "-":
            content = sys.stdin.buffer.read(most + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(most + 1)
        briefing = content[:most].decode("utf-8-sig")
    except OSError as exc:
        raise InvalidInput(f"{name}: {os.strerror(exc.errno or 0)}.") from exc
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"{name} is no UTF-8 text.") from exc
    if len(content) > most or "\x00" in briefing:
        raise InvalidInput(f"{name} is no briefing: a text of at most {LONGEST_BRIEFING:,} characters.")
    return briefing.strip()


def _write(text: str, output: Path | None) -> None:
    """The text stays in the database whatever becomes of the file."""
    if output is None:
        sys.stdout.write(f"{text}\n")
        return
    try:
        output.write_text(f"{text}\n", "utf-8")
    except OSError as exc:
        raise InvalidInput(f"The text is kept as a version, but not in {output}: {exc.strerror}.") from exc


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()


def _usd(amount: Decimal) -> str:
    return f"${amount:.4f}" if 0 < amount < 1 else f"${amount:,.2f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.scripts.run", description="Have a store's assistant write a script from a briefing."
    )
    parser.add_argument("briefing", metavar="BRIEFING.txt", help="the briefing's file; - reads standard input")
    parser.add_argument("--company", required=True, help="the company's short name, such as harbour-bakery")
    parser.add_argument("--store", required=True, help="the store's number, short name or name")
    parser.add_argument("--assistant", required=True, help="its name, or its external id")
    parser.add_argument("--person", required=True, metavar="EMAIL", help="in whose name; they may work in the store")
    parser.add_argument("--quote", action="store_true", help="show what it may cost, and ask")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--here", action="store_true", help="work it off in this process at once")
    parser.add_argument("--output", type=Path, metavar="FILE.txt", help="write the text there instead of printing it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
