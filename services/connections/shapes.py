"""What vendors' answers have in common: their words are cleaned before anybody stores or shows them."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from services.connections.causes import Cause, Trouble

LONGEST_WORD = 200  # characters of a name


def _clean(text: str) -> str:
    """Without what no database or page takes: control characters, halves of surrogate pairs."""
    return "".join(letter for letter in text if letter.isprintable())[:LONGEST_WORD]


def _web(address: str | None) -> str | None:
    usable = address and address.startswith(("https://", "http://")) and address.isprintable() and len(address) <= 2000
    return address if usable else None


Word = Annotated[str, AfterValidator(_clean)]
Picture = Annotated[str | None, AfterValidator(_web)]
Shape = TypeVar("Shape", bound="VendorShape")


class VendorShape(BaseModel):
    """A part of an answer; what Clipdesk does not need is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @classmethod
    def read(cls: type[Shape], body: Any) -> Shape:
        """Raises `Trouble`."""
        try:
            return cls.model_validate(body)
        except ValidationError:  # its text quotes the answer
            trouble = Trouble(Cause.SHAPE)
        raise trouble


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
