"""What each assistant's scripts cost, by phase; nothing where no script was charged."""

import pandas as pd
import streamlit as st

from services.costs.assistants import AssistantCost
from services.costs.desk import Desk
from ui import formats, script_words


def show(desk: Desk, zone: str) -> None:
    if not desk.assistants:
        return
    with st.container(border=True, key="costs_assistants"):
        st.header("Scripts by assistant")
        several = desk.profile_id is None
        st.dataframe(pd.DataFrame([_row(line, zone, several=several) for line in desk.assistants]), hide_index=True,
                     alt="One row an assistant, the dearest first")  # fmt: skip
        st.caption("Summed over the range's whole months. Each phase: what a call cost on average.")


def _row(line: AssistantCost, zone: str, *, several: bool) -> dict[str, object]:
    each = {
        name: formats.usd(line.phases[phase].average) if phase in line.phases else ""
        for phase, name in script_words.PHASES.items()
    }
    return {
        "Assistant": line.name,
        **({"Store": f"{line.code} {line.store}"} if several else {}),
        "Cost": formats.usd(line.cost_usd),
        "Runs": f"{line.runs:,}",
        "A run": formats.usd(line.cost_usd / line.runs) if line.runs else "",
        **each,
        "Tokens": f"{line.tokens:,}",
        "Last": formats.moment(line.last_activity, zone),
    }
