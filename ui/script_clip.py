"""Which clip a script is for, so that its cost counts among the clip's; none is as good."""

from contextlib import suppress
from uuid import UUID

import streamlit as st

from services import clips
from services.clips import Clip
from services.database.door import Database
from services.errors import NotFound
from services.identity import Role
from services.profiles import Store
from ui import post_clip, session
from ui.recent import CACHE_SECONDS
from ui.session import Operator


@st.cache_data(ttl=CACHE_SECONDS, max_entries=500, show_spinner=False)
def _newest(
    account_id: UUID, person_id: UUID, role: Role, mark: UUID | None, profile_id: UUID, _database: Database
) -> list[Clip]:
    return clips.page(_database, profile_id, limit=post_clip.OFFERED)


def choose(operator: Operator, store: Store) -> UUID | None:
    """The chosen clip's id; shows nothing in a store without clips."""
    newest = _newest(*session.cache_key(operator), store.id, operator.database)
    offered = {clip.id: clip for clip in newest}
    asked = post_clip.asked()
    if asked and asked not in offered and (clip := post_clip.named(operator, store, asked)):
        offered = {clip.id: clip, **offered}
    if not offered:
        return None
    ids = list(offered)
    picked: UUID | None = st.selectbox(
        "For a clip", ids, index=ids.index(asked) if asked in offered else None,
        format_func=lambda id_: post_clip.label(offered[id_]), key=f"script_clip_{store.id}", placeholder="No clip",
        persist_state="session", help="What the script costs then counts among what the clip costs.",
    )  # fmt: skip
    return picked


def link(operator: Operator, clip_id: UUID) -> None:
    """From a run to its clip, as long as that is there."""
    with suppress(NotFound):
        clip = clips.get(operator.database, clip_id)
        st.page_link("../pages/clips.py", label=f"For the clip {clip.name}", icon=":material/movie:",
                     query_params={"clip": str(clip.id)})  # fmt: skip
