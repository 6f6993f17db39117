"""What every writer of scripts offers, and the shapes that travel between it and its callers."""

from typing import Any, Generic, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

Thinking = Literal["minimal", "low", "medium", "high"]
Finish = Literal["done", "cut_off", "blocked", "unreadable"]
Ratio = Literal["1:1", "16:9", "9:16", "4:3", "3:4", "4:5"]

T = TypeVar("T", bound=BaseModel)

SECONDS = 150.0  # of a call with its waits, which may take half of it: limits of a minute are outlasted


class _Frozen(BaseModel):
    # Bytes as base64: answers and pictures are kept as JSON until the database has them.
    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), ser_json_bytes="base64", val_json_bytes="base64"
    )


class Units(_Frozen):
    """What a call uses, in tokens. `thinking_tokens` are part of `output_tokens`; the other three add up."""

    input_tokens: int = Field(default=0, ge=0)  # without the cached ones
    cached_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)  # answer and thinking
    thinking_tokens: int = Field(default=0, ge=0)

    def priced(self) -> dict[str, int]:
        """By the price book's kinds of unit."""
        return self.model_dump(exclude={"thinking_tokens"})

    def __add__(self, other: "Units") -> "Units":
        mine, its = self.model_dump(), other.model_dump()
        return Units(**{name: mine[name] + its[name] for name in mine})


NOTHING = Units()


class Image(_Frozen):
    data: bytes = Field(repr=False)
    mime: Literal["image/jpeg", "image/png", "image/webp"]


class Request(_Frozen, Generic[T]):
    """One question. `answer_schema` is the shape its answer must have.

    `material` is what the prompt was made of, for a writer that follows rules instead of reading. Texts are kept out
    of its `repr`, as briefings may hold anything.
    """

    model: str
    system: str = Field(default="", repr=False)
    prompt: str = Field(repr=False)
    answer_schema: type[T]
    images: tuple[Image, ...] = Field(default=(), repr=False)
    max_output_tokens: int = Field(default=8_192, gt=0)  # thinking counts against it
    thinking: Thinking | None = None  # None: as the model does by itself
    deadline_seconds: float = Field(default=SECONDS, gt=0)
    material: SerializeAsAny[BaseModel] | None = Field(default=None, repr=False)


class Drawing(_Frozen):
    """A picture to be made."""

    model: str
    prompt: str = Field(repr=False)
    ratio: Ratio = "16:9"
    max_output_tokens: int = Field(default=4_096, gt=0)  # a picture of one megapixel takes 1,120 to 1,290
    deadline_seconds: float = Field(default=SECONDS, gt=0)


Order = Request[Any] | Drawing


class Served(_Frozen):
    """What every call that was billed tells. `sentence` is for the operator; empty where all is as asked.

    `model_version` is what answered, as the writer says; `billed_model` the listed model whose price that is.
    `seconds` include the waits before it.
    """

    usage: Units
    finish: Finish
    sentence: str = ""
    model_version: str
    billed_model: str
    response_id: str
    seconds: float = Field(ge=0)

    @property
    def done(self) -> bool:
        return self.finish == "done"


class Answer(Served, Generic[T]):
    """`parsed` is None unless `finish` is done. Whatever the finish: `usage` was billed."""

    parsed: SerializeAsAny[T] | None
    text: str = Field(repr=False)


class Picture(Served):
    """`data` is None unless `finish` is done."""

    data: bytes | None = Field(repr=False)
    mime: str | None


class Writer(Protocol):
    """What writes and draws. Its methods may be called from several threads at once."""

    name: str  # the price book's provider
    label: str  # what the operator reads
    paid_outside: bool  # a vendor bills it: a lost answer may have been paid for

    def estimate(self, order: Order) -> Units:
        """The most that `order` can be billed for: the input as counted, the output as limited. Free.

        Raises `InvalidInput` (field `model`, `thinking`, `images` or `prompt`) for what could never be bought,
        `ProviderUnavailable` where the writer cannot be used.
        """

    def write(self, request: Request[T]) -> Answer[T]:
        """Ask once, within its deadline.

        An answer that is no use (see `finish`) was billed all the same, so it is returned, not raised. Raises
        `AnswerLost` where the vendor may have billed the call; everything else it raises proves that nothing was
        bought: as `estimate`, and `VendorBusy` (try later).
        """

    def draw(self, drawing: Drawing) -> Picture:
        """As `write`."""
