"""What each assistant's scripts cost, by phase; nothing where no script was charged."""

from datetime import date
from uuid import UUID

import pandas as pd
import streamlit as st

from services.costs import assistants
from services.costs.assistants import AssistantCost
from services.database.door import Database
from services.identity import Role
from services.profiles import Store
from ui import formats, script_words, session
from ui.recent import CACHE_SECONDS
from ui.session import Operator


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner=False)
def _found(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, profile_id: UUID | None, first: date, last: date,
    _database: Database,
) -> list[AssistantCost]:  # fmt: skip
    return assistants.of_assistants(_database, account_id, profile_id, first, last)


def show(operator: Operator, store: Store | None, asked: tuple[date, date], zone: str) -> None:
    found = _found(*session.cache_key(operator), store.id if store else None, *asked, operator.database)
    if not found:
        return
    with st.container(border=True, key="costs_assistants"):
        st.header("Scripts by assistant")
        st.dataframe(pd.DataFrame([_row(line, zone, several=store is None) for line in found]), hide_index=True,
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
