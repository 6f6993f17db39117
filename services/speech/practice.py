"""Practice premium: the embedded voice under a practice price, for the demo company's stores."""

from collections.abc import Sequence

from services.speech.hibari import HEART, Hibari
from services.speech.provider import Speech, Voice, VoiceSettings, validate_choice

PREMIUM = Voice(
    id="premium",
    name="Practice premium",
    language=HEART.language,
    description="The embedded voice at a practice price",
)


class Practice:
    name = "practice"
    label = "Practice premium (practice: nobody is billed, nothing leaves this machine)"
    models: tuple[str, ...] = ("premium",)
    max_characters = Hibari.max_characters
    paid_outside = False

    def __init__(self, embedded: Hibari | None = None) -> None:
        self._embedded = embedded or Hibari()

    def voices(self) -> Sequence[Voice]:
        return (PREMIUM,)

    def test(self) -> str:
        self._embedded.test()
        return "Ready: Practice premium speaks on this machine; nobody is billed."

    def check(self, text: str) -> None:
        self._embedded.check(text)

    def synthesize(self, text: str, *, voice: str, model: str, settings: VoiceSettings) -> Speech:
        validate_choice("voice", voice, [PREMIUM.id])
        validate_choice("model", model, self.models)
        return self._embedded.synthesize(text, voice=HEART.id, model=Hibari.models[0], settings=settings)
