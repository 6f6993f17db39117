"""A whole run in memory, with either writer: what each phase is asked, answers, and costs."""

import json

import pytest

from services.errors import ProviderUnavailable
from services.scripts import phases
from services.scripts.phases import Assistant, Review
from services.scripts.practice import Practice
from services.scripts.writer import NOTHING, Units, Writer
from tests.fakes.gemini import FakeGemini, Turn

BRIEFING = (
    "Our bakery opens at six, and we bake every loaf by hand with old grains from the valley because the taste is "
    "worth every minute of it. Two rolls cost one dollar, which is cheap."
)


def run(writer: Writer, assistant: Assistant) -> tuple[str, list[Review], Units]:
    """The script, its reviews, and what all calls used."""
    draft = writer.write(phases.generation(BRIEFING, assistant))
    script, used, reviews = phases.taken(draft).script, draft.usage, []
    for round_ in range(assistant.max_rounds + 1):
        answer = writer.write(phases.analysis(BRIEFING, script, assistant))
        used += answer.usage
        reviews.append(phases.judged(phases.taken(answer), script, assistant))
        if phases.good_enough(reviews[-1], assistant) or round_ == assistant.max_rounds:
            break
        improved = writer.write(phases.improvement(BRIEFING, script, reviews[-1], assistant))
        script, used = phases.taken(improved).script, used + improved.usage
    return script, reviews, used


def test_for_practice_it_gets_good_and_costs_nothing(assistant: Assistant) -> None:
    script, reviews, used = run(Practice(), assistant)
    assert [review.points for review in reviews] == [49, 100]
    assert "cheap" not in script
    assert script.endswith("Come by, we look forward to you.")
    assert used == NOTHING


def test_with_gemini_it_uses_what_is_billed(writer, fake: FakeGemini, assistant: Assistant) -> None:
    fake.say(
        Turn(json.dumps({"title": "Bread", "script": "Bread is cheap.", "notes": ""}), thinking=400, cached=50),
        Turn(json.dumps({"score": 99, "findings": [], "language": "en"}), thinking=100),
        Turn(json.dumps({"script": "Bread is fresh.", "changes": ["No “cheap”."]}), thinking=900),
        Turn(json.dumps({"score": 91.25, "findings": [], "language": "en"})),
    )
    script, reviews, used = run(writer, assistant)
    assert script == "Bread is fresh."
    assert [float(review.points) for review in reviews] == [49, 91.25]
    assert used.priced() == fake.billed()
    assert "banned word “cheap”" in fake.bodies()[2]["contents"][0]["parts"][0]["text"]


def test_it_ends_at_the_limit_of_rounds(writer, fake: FakeGemini, assistant: Assistant) -> None:
    """The played vendor gives 80.5 points to everything."""
    _, reviews, used = run(writer, assistant.model_copy(update={"max_rounds": 2}))
    assert [float(review.points) for review in reviews] == [80.5] * 3
    assert len(fake.bill) == 1 + 3 + 2
    assert used.priced() == fake.billed()


def test_what_was_bought_before_a_key_was_revoked_stays_billed_once(
    writer, fake: FakeGemini, assistant: Assistant
) -> None:
    fake.say(Turn(json.dumps({"title": "Bread", "script": "Bread.", "notes": ""})))
    draft = writer.write(phases.generation(BRIEFING, assistant))
    fake.keys.clear()
    with pytest.raises(ProviderUnavailable):
        writer.write(phases.analysis(BRIEFING, phases.taken(draft).script, assistant))
    assert draft.usage.priced() == fake.billed()
