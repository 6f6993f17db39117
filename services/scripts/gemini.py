"""Gemini: scripts, reviews and pictures by the paid models, through the vendor's SDK."""

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, SecretStr

from services.errors import AppError, InvalidInput, Overloaded, ProviderUnavailable, VendorBusy
from services.scripts import gemini_answers, models
from services.scripts.gemini_errors import asked_pause, free_error, paid_error, too_late
from services.scripts.gemini_http import Connection, options
from services.scripts.models import Model
from services.scripts.writer import Answer, Drawing, Image, Order, Picture, Request, Units

if TYPE_CHECKING:
    from google.genai import Client
    from google.genai.types import GenerateContentConfig, GenerateContentResponse

T = TypeVar("T", bound=BaseModel)

CLIENTS = 64  # keys whose client a process keeps: those used last
FREE_SECONDS = 10.0  # of counting tokens: a page may be waiting
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 8.0  # seconds after a refusal that names none; doubled each time
LARGEST_IMAGES = 14 * 1024 * 1024  # bytes together: encoded they are a third more, and the vendor takes 20 MB
FRAME = 2_240  # tokens of an image at the most, at the finest resolution of any model
FRAMING = 100  # tokens of roles and the like, which counting leaves out


@dataclass(frozen=True)
class _Moments:
    """Instants on the monotonic clock. What began after `latest` would have too little time for its answer."""

    start: float
    latest: float  # a call may start
    end: float  # its answer must be here


class Gemini:
    """A `Writer` with one key. `confirm` is asked just before each paid call; if it raises, nothing is bought."""

    name = "gemini"
    label = "Gemini"
    paid_outside = True

    def __init__(
        self, connection: Connection, confirm: Callable[[], None], today: Callable[[], date] = models.today
    ) -> None:
        self._connection = connection
        self._confirm = confirm
        self._today = today

    def estimate(self, order: Order) -> Units:
        model = self._validated(order)
        counted = self._count(order, model)
        if counted > model.input_limit:
            raise InvalidInput(
                f"This is {counted:,} tokens long; {model.title} takes {model.input_limit:,}. Shorten it.", "prompt"
            )
        return Units(input_tokens=counted, output_tokens=_largest_output(order, model))

    def write(self, request: Request[T]) -> Answer[T]:
        model, client = self._validated(request), self._connection.client()
        moments = _moments(request.deadline_seconds)
        vendor = self._buy(client, request, model, _writing(request, model), moments)
        return gemini_answers.answer_of(vendor, request, time.monotonic() - moments.start)

    def draw(self, drawing: Drawing) -> Picture:
        model, client = self._validated(drawing), self._connection.client()
        moments = _moments(drawing.deadline_seconds)
        vendor = self._buy(client, drawing, model, _painting(drawing, model), moments)
        return gemini_answers.picture_of(vendor, drawing, time.monotonic() - moments.start)

    def _validated(self, order: Order) -> Model:
        """Raises `InvalidInput`."""
        model = models.require(order.model, self._today(), draws=isinstance(order, Drawing))
        if not order.prompt.strip():
            raise InvalidInput("There is no text to work on. Type one first.", "prompt")
        if isinstance(order, Request):
            _validate_request(order, model)
        return model

    def _count(self, order: Order, model: Model) -> int:
        """Input tokens, rounded up; where the vendor cannot count right now, the most that they can be."""
        try:
            counted = self._counted(order, model)
        except VendorBusy:
            return bound(order)
        return counted + counted // 20 + FRAMING  # what it bills may differ a little from what it counts

    def _counted(self, order: Order, model: Model) -> int:
        """Free: counting bills nothing. Raises `VendorBusy`, `ProviderUnavailable` or `InvalidInput`."""
        client = self._connection.client()
        from google.genai.types import CountTokensConfig  # noqa: PLC0415 - as slow as the SDK

        config = CountTokensConfig(http_options=options(FREE_SECONDS, model.api))
        try:
            # Instructions and shape count as input, but this question has no place for them beside the contents.
            told = client.models.count_tokens(
                model=model.id, contents=[*_texts(order), *_contents(order)], config=config
            )
        except Exception as error:  # the SDK does not validate: an odd answer may fail anywhere
            problem = free_error(error)
        else:
            if told.total_tokens is not None:
                return told.total_tokens
            problem = VendorBusy("Gemini did not say how many tokens this has.")
        raise problem  # out here it has no context: what was sent stays out of tracebacks

    def _buy(
        self, client: "Client", order: Order, model: Model, config: "GenerateContentConfig", moments: _Moments
    ) -> "GenerateContentResponse":
        """Ask until it is answered or refused for good; again only where the vendor says that it did nothing."""
        attempt = 0
        while True:
            self._confirm()
            _require_time(moments)
            config.http_options = options(moments.end - time.monotonic(), model.api)
            answer, asked = _once(client, order, model, config)
            if not isinstance(answer, Overloaded):
                return answer
            time.sleep(_pause(answer, asked, attempt, moments.latest))
            attempt += 1


def open_writer(
    key: SecretStr, base_url: str | None = None, *, private: bool = False, confirm: Callable[[], None] | None = None
) -> Gemini:
    """Gemini with `key`, at `base_url` (None: the vendor's own address), through the one client kept for that key.

    `private`: the address may lie in a private network. `confirm` is asked just before each paid call. Opens no
    connection yet. Raises `ProviderUnavailable` for a key that no header takes.
    """
    plain = key.get_secret_value()
    if not plain or not (plain.isascii() and plain.isprintable()):
        raise ProviderUnavailable("The saved Gemini key has characters that no key has. An admin must type it again.")
    return Gemini(_connection(key, base_url, private), confirm or (lambda: None))


@lru_cache(maxsize=CLIENTS)
def _connection(key: SecretStr, base_url: str | None, private: bool) -> Connection:
    return Connection(key, base_url, private=private)


def _once(
    client: "Client", order: Order, model: Model, config: "GenerateContentConfig"
) -> "tuple[GenerateContentResponse | Overloaded, float | None]":
    """One paid call: its answer, or a refusal after which it may be repeated, with the pause that is asked for."""
    try:
        return client.models.generate_content(model=model.id, contents=_contents(order), config=config), None
    except Exception as error:  # whatever is not certain to have cost nothing must count as lost
        problem, asked = paid_error(error), asked_pause(error)
    if isinstance(problem, Overloaded):
        return problem, asked
    raise problem  # out here it has no context


def _validate_request(request: Request[Any], model: Model) -> None:
    if request.thinking is not None and request.thinking not in model.thinking:
        known = ", ".join(model.thinking) or "none: it decides by itself"
        raise InvalidInput(f"{model.title} does not think at “{request.thinking}”. Its levels: {known}.", "thinking")
    if request.images and not model.sees:
        raise InvalidInput(f"{model.title} takes no images.", "images")
    if sum(len(image.data) for image in request.images) > LARGEST_IMAGES:
        raise InvalidInput("These images are too large for one request. Use fewer or smaller ones.", "images")


def _largest_output(order: Order, model: Model) -> int:
    return min(order.max_output_tokens, model.output_limit)


def _contents(order: Order) -> list[Any]:
    """Pictures before the words that are about them."""
    from google.genai.types import Part  # noqa: PLC0415 - as slow as the SDK

    images = order.images if isinstance(order, Request) else ()
    pictures = [Part.from_bytes(data=image.data, mime_type=image.mime) for image in images]
    return [*pictures, Part.from_text(text=order.prompt)]


def _texts(order: Order) -> Iterator[str]:
    """What is sent beside the contents and counts as input, too."""
    if isinstance(order, Request):
        yield from ([order.system] if order.system else [])
        yield json.dumps(order.answer_schema.model_json_schema())


def bound(order: Order) -> int:
    """The most input tokens of an order: a token stands for one byte or more, an image for `FRAME` at the most."""
    images: tuple[Image, ...] = order.images if isinstance(order, Request) else ()
    texts = [order.prompt, *_texts(order)]
    return sum(len(text.encode("utf-8", "replace")) for text in texts) + FRAME * len(images) + FRAMING


def _writing(request: Request[Any], model: Model) -> "GenerateContentConfig":
    from google.genai.types import MediaResolution, ThinkingConfig, ThinkingLevel  # noqa: PLC0415 - as slow as the SDK

    config = _config(request, model)
    config.system_instruction = request.system or None
    config.response_mime_type = "application/json"
    config.response_schema = request.answer_schema
    if request.thinking is not None:
        config.thinking_config = ThinkingConfig(thinking_level=ThinkingLevel(request.thinking.upper()))
    if request.images:
        config.media_resolution = MediaResolution.MEDIA_RESOLUTION_LOW  # 280 tokens a frame instead of 1,120
    return config


def _painting(drawing: Drawing, model: Model) -> "GenerateContentConfig":
    from google.genai.types import ImageConfig  # noqa: PLC0415 - as slow as the SDK

    config = _config(drawing, model)
    config.response_modalities = ["IMAGE"]
    config.image_config = ImageConfig(aspect_ratio=drawing.ratio)
    return config


def _config(order: Order, model: Model) -> "GenerateContentConfig":
    """No temperature and the like: models from 3.0 on want their own, and some refuse others."""
    from google.genai.types import (  # noqa: PLC0415 - as slow as the SDK
        AutomaticFunctionCallingConfig,
        GenerateContentConfig,
    )

    return GenerateContentConfig(
        max_output_tokens=_largest_output(order, model),
        automatic_function_calling=AutomaticFunctionCallingConfig(disable=True),
        automatic_continuation=False,  # each hop is a paid call that nobody held money for
    )


def _moments(seconds: float) -> _Moments:
    """Waits take at most half of the time, so that a call has the other half."""
    now = time.monotonic()
    return _Moments(start=now, latest=now + seconds / 2, end=now + seconds)


def _require_time(moments: _Moments) -> None:
    if time.monotonic() > moments.latest:
        raise VendorBusy("There was no time left for the call. Nothing was bought; it is tried again.")


def _pause(refusal: AppError, asked: float | None, attempt: int, latest: float) -> float:
    """Seconds until the next try; raises the refusal if that would be too late."""
    own = min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret
    seconds = own if asked is None else asked
    if time.monotonic() + seconds > latest:
        raise refusal if asked is None else too_late(refusal, asked)
    return seconds
