"""Models that billed more than they announced: what was billed, and who ends the pause."""

from collections.abc import Sequence
from decimal import Decimal

import streamlit as st

from services.speech.decisions import Pause
from ui import charts, formats
from ui.session import Operator


def times(factor: Decimal) -> str:
    return f"×{factor:.2f}".rstrip("0").rstrip(".")


def arithmetic(pause: Pause, zone: str) -> str:
    """One passage's bill beside its announcement."""
    return (
        f"{charts.name(pause.provider)}, model {pause.model}: {pause.expected.normalize():f} units were announced for "
        f"{pause.characters:,} characters, and {pause.billed.normalize():f} were billed ({times(pause.factor)}) "
        f"on {formats.moment(pause.paused_at, zone)}."
    )


def warn(operator: Operator, pauses: Sequence[Pause], zone: str) -> None:
    """Why nothing is bought from a model."""
    for pause in pauses[:1]:
        way = (
            "Confirm its price on the Admin page."
            if operator.role == "admin"
            else "An admin can confirm its price on the Admin page."
        )
        sentence = f"This model is paused. {arithmetic(pause, zone)} Nothing more is bought from it. {way}"
        st.warning(formats.plain(sentence), icon=":material/pause_circle:")
