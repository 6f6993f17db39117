"""A run: a briefing becomes a script, is analysed, and improved until it is good, each phase bought once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from services.errors import ProviderFailed, QuotaExceeded
from services.jobs.context import Context
from services.scripts import calls, phases
from services.scripts.calls import Call, Taken
from services.scripts.phases import Assistant, Draft, Improved, Phase, Review
from services.scripts.writer import Answer, Request

Because = Literal["target", "rounds", "limit"]
SAID: dict[Phase, str] = {
    "prompt_generation": "Writing the first draft",
    "prompt_analysis": "Judging the script",
    "prompt_improvement": "Improving the script",
}


class Step(BaseModel):
    """A phase's place in its run."""

    model_config = ConfigDict(frozen=True)

    place: int
    phase: Phase
    round: int


class Done(BaseModel):
    """A finished step of a run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    place: int
    phase: Phase
    round: int
    output: dict[str, Any]


class Run(BaseModel):
    """A run as its worker gets it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    account_id: UUID
    briefing: str = Field(repr=False)
    assistant: dict[str, Any]
    steps: list[Done]

    def writes_as(self) -> Assistant:
        """The assistant as it was when the run was ordered."""
        known = {name: self.assistant[name] for name in Assistant.model_fields}
        return Assistant.model_validate(known)


@dataclass(frozen=True)
class Attempt:
    """A text of a run with what was found of it; None: not judged yet."""

    title: str
    script: str
    review: Review | None
    round: int

    @property
    def points(self) -> Decimal:
        return self.review.points if self.review else Decimal(-1)


def write(context: Context) -> None:
    """Take the ordered run to its end. A run that cannot hold its next phase keeps its best text."""
    while True:
        run = Run.model_validate(context.write("script_run"))
        context.check()
        step = following(run)
        if step is None:
            because: Because = "target" if _reached(run) else "rounds"
            break
        context.progress(_share(run), SAID[step.phase])
        try:
            calls.buy(context, run.account_id, _as_call(context, step, _request(run, step)))
        except QuotaExceeded:
            if not run.steps:
                raise
            because = "limit"
            break
    _finish(context, run, because)


def following(run: Run) -> Step | None:
    """The step after those that are finished; None: the run is done."""
    place = len(run.steps)
    if not run.steps:
        return Step(place=0, phase="prompt_generation", round=0)
    last = run.steps[-1]
    if last.phase != "prompt_analysis":
        return Step(place=place, phase="prompt_analysis", round=last.round)
    if _reached(run) or last.round >= run.writes_as().max_rounds:
        return None
    return Step(place=place, phase="prompt_improvement", round=last.round + 1)


def attempts(run: Run) -> Iterator[Attempt]:
    """The texts of a run in their order. An improvement begins with the best text before it."""
    assistant, title, texts = run.writes_as(), "", _texts(run.steps)
    for step, text in texts:
        if step.phase == "prompt_generation":
            title = Draft.model_validate(step.output).title
        review = next((s for s in run.steps if s.phase == "prompt_analysis" and s.round == step.round), None)
        judged = phases.judged(Review.model_validate(review.output), text, assistant) if review else None
        yield Attempt(title, text, judged, step.round)


def best(run: Run) -> Attempt | None:
    """The text with the most points, the earlier of equals; a text that was not judged yet counts least."""
    return max(attempts(run), key=lambda attempt: attempt.points, default=None)


def _texts(steps: Sequence[Done]) -> Iterator[tuple[Done, str]]:
    for step in steps:
        if step.phase == "prompt_generation":
            yield step, Draft.model_validate(step.output).script
        elif step.phase == "prompt_improvement":
            yield step, Improved.model_validate(step.output).script


def _reached(run: Run) -> bool:
    return any(a.review and phases.good_enough(a.review, run.writes_as()) for a in attempts(run))


def _request(run: Run, step: Step) -> Request[Any]:
    assistant = run.writes_as()
    if step.phase == "prompt_generation":
        return phases.generation(run.briefing, assistant)
    if step.phase == "prompt_analysis":
        return phases.analysis(run.briefing, next(a.script for a in attempts(run) if a.round == step.round), assistant)
    found = best(run)
    if found is None or found.review is None:
        raise ValueError("an improvement follows an analysis")
    return phases.improvement(run.briefing, found.script, found.review, assistant)


def _as_call(context: Context, step: Step, request: Request[Any]) -> Call:
    asked = {"system": request.system, "prompt": request.prompt}
    described = {**step.model_dump(), "model": request.model, "input": asked}
    return Call(request, lambda units: context.write("begin_step", p_step=described, p_units=units), _take)


def _take(answer: Answer[Any]) -> Taken:
    try:
        return Taken(phases.taken(answer).model_dump(mode="json"))
    except ProviderFailed as exc:
        return Taken(None, str(exc))


def _share(run: Run) -> float:
    """Of a run that needs all its rounds."""
    return len(run.steps) / (2 + 2 * run.writes_as().max_rounds)


def _finish(context: Context, run: Run, because: Because) -> None:
    found = max(attempts(run), key=lambda attempt: attempt.points)
    context.finish(
        "save_script",
        p_end={
            "title": found.title,
            "content": found.script,
            "score": str(found.points) if found.review else None,
            "rounds": max(step.round for step in run.steps),
            "because": because,
        },
    )
