"""Practice premium: the embedded voice under a practice price, for the demo company's stores."""

from collections.abc import Sequence
from dataclasses import replace

from services.speech import hibari
from services.speech.checks import validate_line
from services.speech.hibari import Hibari
from services.speech.provider import Line, Model, Speech, State, Voice

PREMIUM = hibari.HEART.model_copy(
    update={"id": "premium", "name": "Practice premium", "description": "The embedded voice at a practice price"}
)
MODEL = hibari.MODEL.model_copy(update={"id": "premium", "name": "Practice premium"})


class Practice:
    name = "practice"
    label = "Practice premium (practice: nobody is billed, nothing leaves this machine)"
    paid_outside = False
    local = True
    speeds = Hibari.speeds
    takes_stability = False

    def __init__(self, embedded: Hibari | None = None) -> None:
        self._embedded = embedded or Hibari()

    def state(self) -> State:
        return self._embedded.state()

    def models(self) -> Sequence[Model]:
        return (MODEL,)

    def voices(self) -> Sequence[Voice]:
        return (PREMIUM,)

    def test(self) -> str:
        self._embedded.test()
        return "Ready: Practice premium speaks on this machine; nobody is billed."

    def check(self, text: str) -> None:
        self._embedded.check(text)

    def synthesize(self, line: Line, seconds: float) -> Speech:
        validate_line(line, self.voices(), self.models())
        embedded = replace(line, voice=hibari.HEART.id, model=hibari.MODEL.id)
        return self._embedded.synthesize(embedded, seconds)
