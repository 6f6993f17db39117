"""What the demo company's stores had written: assistants, runs over briefings and the versions they ended in, as rows.

The texts are the practice writer's; what the history's Gemini orders cost is the cost of their runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

from services.demo_data import ACCOUNT_ID, FLASH_LITE, FOUNDER, Store, ident
from services.demo_history import PriceBook, Row, Shop, Span, Work
from services.scripts import assistants, phases
from services.scripts.phases import PHASES, Assistant, Phase, Review
from services.scripts.practice import MODEL, Practice
from services.scripts.writer import Request

Rows = dict[str, list[Row]]

NAMES = ("Offer of the week", "Behind the counter")
SCORES = {NAMES[0]: 96, NAMES[1]: 85}  # good enough from
RUNS = 3  # of each assistant
ENDS = timedelta(minutes=1)  # before the history does
SECONDS: dict[Phase, float] = {"prompt_generation": 4.2, "prompt_analysis": 2.6, "prompt_improvement": 5.1}


@dataclass(frozen=True)
class Order:
    """A briefing that was written from; `work` is what its first phase was booked as."""

    assistant: str
    work: Work

    @property
    def id(self) -> UUID:
        return run_of(self.work)

    @property
    def store(self) -> Store:
        return self.work.store


@dataclass(frozen=True)
class Text:
    """What a phase answered; a review's points."""

    phase: Phase
    round: int
    output: Row
    script: str
    points: Decimal | None = None


def run_of(work: Work) -> UUID:
    return ident("run", work.id)


def step_of(work: Work, place: int = 0) -> UUID:
    return ident("step", work.id, place)


def orders(shops: Sequence[Shop], span: Span) -> list[Order]:
    """Each store's latest orders of a text, one assistant after the other."""
    found = []
    for shop in shops:
        able = [w for w in shop.work if w.kind.operation == PHASES[0] and w.booked and w.ended + ENDS < span.until]
        latest = sorted(able, key=lambda w: (w.at, w.id))[-RUNS * len(NAMES) :]
        found += [Order(NAMES[place % len(NAMES)], work) for place, work in enumerate(latest)]
    return found


def scripts(written: Sequence[Order], book: PriceBook, span: Span) -> Rows:
    """Rows by table. What runs cost is added up from the ledger when they are loaded."""
    made: Rows = {"assistants": [], "pipeline_runs": [], "pipeline_steps": [], "prompt_versions": [], "jobs": []}
    stores = list(dict.fromkeys(order.store for order in written))
    for store in stores:
        for name in NAMES:
            mine = [order for order in written if (order.store, order.assistant) == (store, name)]
            assistant = _assistant_row(store, name, span)
            made["assistants"].append(assistant)
            for order in mine:
                _add(made, order, assistant, book)
            _number([v for v in made["prompt_versions"] if v["assistant_id"] == assistant["id"]])
    return made


def _add(made: Rows, order: Order, assistant: Row, book: PriceBook) -> None:
    texts = list(_phases(order))
    best = max((text for text in texts if text.points is not None), key=lambda text: text.points or 0)
    steps = list(_steps(order, texts, book))
    made["pipeline_steps"] += steps
    made["pipeline_runs"].append(_run_row(order, assistant, best, steps[-1]["ended_at"]))
    made["jobs"].append(_job_row(order, steps[-1]["ended_at"]))
    made["prompt_versions"].append(_version_row(order, assistant, texts, best, book))


# Writing --------------------------------------------------------------------------------------------------------------


def _as_told(name: str) -> Assistant:
    return assistants.templates(MODEL)[name].model_copy(update={"target_score": Decimal(SCORES[name])})


def _ask(request: Request[Any]) -> Row:
    answer = Practice().write(request)
    return answer.parsed.model_dump(mode="json") if answer.parsed else {}


def _phases(order: Order) -> Iterator[Text]:
    """As a run goes: written, judged, and improved once where that is not good enough."""
    assistant, briefing = _as_told(order.assistant), order.work.text
    draft = _ask(phases.generation(briefing, assistant))
    yield Text("prompt_generation", 0, draft, draft["script"])
    review, judged = _judged(briefing, draft["script"], assistant)
    yield Text("prompt_analysis", 0, judged, draft["script"], review.points)
    if phases.good_enough(review, assistant):
        return
    improved = _ask(phases.improvement(briefing, draft["script"], review, assistant))
    yield Text("prompt_improvement", 1, improved, improved["script"])
    second, judged = _judged(briefing, improved["script"], assistant)
    yield Text("prompt_analysis", 1, judged, improved["script"], second.points)


def _judged(briefing: str, script: str, assistant: Assistant) -> tuple[Review, Row]:
    output = _ask(phases.analysis(briefing, script, assistant))
    return phases.judged(Review.model_validate(output), script, assistant), output


# Rows -----------------------------------------------------------------------------------------------------------------


def _of_store(store: Store) -> Row:
    return {"account_id": ACCOUNT_ID, "profile_id": store.id}


def _assistant_row(store: Store, name: str, span: Span) -> Row:
    told = _as_told(name).model_dump(mode="json")
    return {
        **told,
        **_of_store(store),
        "id": ident("assistant", store.code, name),
        "template": "",
        "version": 1,
        "created_by": FOUNDER.id,
        "created_at": span.founded,
        "updated_at": span.founded,
    }


def _run_row(order: Order, assistant: Row, best: Text, ended_at: datetime) -> Row:
    work, reached = order.work, best.points is not None and best.points >= SCORES[order.assistant]
    return {
        **_of_store(order.store),
        "id": order.id,
        "assistant_id": assistant["id"],
        "assistant": {**assistant, "models": {**assistant["models"], PHASES[0]: work.kind.model}},
        "project_id": work.project_id,
        "clip_id": work.clip_id,
        "briefing": work.text,
        "briefing_hash": _hash(work.text),
        "status": "completed",
        "ended_because": "target" if reached else "rounds",
        "input_tokens": 0,
        "cached_tokens": 0,
        "output_tokens": 0,
        "total_cost_usd": 0,
        "best_score": best.points,
        "created_by": work.person_id,
        "started_at": work.at,
        "ended_at": ended_at,
    }


def _steps(order: Order, texts: Sequence[Text], book: PriceBook) -> Iterator[Row]:
    """The first phase as the ledger has it; the others practised, for nothing."""
    at, work = order.work.at, order.work
    for place, text in enumerate(texts):
        began, at = at, at + timedelta(seconds=SECONDS[text.phase])
        paid = place == 0
        tokens = work.tokens if paid else dict.fromkeys(work.tokens, 0)
        yield {
            **_of_store(order.store),
            **tokens,
            "id": step_of(work, place),
            "run_id": order.id,
            "place": place,
            "phase": text.phase,
            "round": text.round,
            "status": "completed",
            "provider": work.kind.service if paid else MODEL,
            "model": FLASH_LITE if paid else MODEL,
            "model_version": FLASH_LITE if paid else MODEL,
            "input": {"prompt": work.text},
            "output": text.output,
            "cost_usd": book.cost(work) if paid else 0,
            "started_at": began,
            "ended_at": at,
        }


def _job_row(order: Order, ended_at: datetime) -> Row:
    work = order.work
    return {
        **_of_store(order.store),
        "id": order.id,
        "kind": "script",
        "status": "completed",
        "progress": 1,
        "message": "Done",
        "input": {"assistant": order.assistant},
        "result": {"run_id": order.id},
        "error": None,
        "request_id": order.id,
        "attempt": 1,
        "max_attempts": 3,
        "run_after": work.at,
        "created_by": work.person_id,
        "started_at": work.at,
        "finished_at": ended_at,
        "created_at": work.at,
        "updated_at": ended_at,
    }


def _version_row(order: Order, assistant: Row, texts: Sequence[Text], best: Text, book: PriceBook) -> Row:
    work = order.work
    return {
        **_of_store(order.store),
        "id": ident("version", work.id),
        "assistant_id": assistant["id"],
        "run_id": order.id,
        "title": texts[0].output["title"],
        "content": best.script,
        "content_hash": _hash(best.script),
        "injection_content": best.script,
        "briefing_hash": _hash(work.text),
        "iterations": texts[-1].round,
        "final_score": best.points,
        "cost_usd": book.cost(work),
        "notes": "",
        "created_by": work.person_id,
        "created_at": work.ended,
        "updated_at": work.ended,
    }


def _number(versions: Sequence[Row]) -> None:
    """v1, v2 …; the one before the last is deployed, the last is still a draft."""
    states = {len(versions) - 1: "deployed", len(versions): "draft"}
    for number, row in enumerate(versions, start=1):
        status = states.get(number, "final")
        deployed_at = row["created_at"] if status == "deployed" else None
        row |= {"number": number, "status": status, "deployed_at": deployed_at}
        row |= {"injection_path": f"assistant-v{number}.txt"}


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
