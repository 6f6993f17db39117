"""Which clip a post shows: the one the person came with, or one of the store's newest."""

from uuid import UUID

import streamlit as st

from services import clips
from services.clips import Clip
from services.errors import AppError, NotFound
from services.profiles import Store
from ui import formats, session
from ui.session import Operator

OFFERED = 100  # the newest ready clips; older ones are reached from the Clips page


def choose(operator: Operator, store: Store, form: str, drafted: UUID | None) -> Clip | None:
    """None: there is none, or none is chosen."""
    offered = {clip.id: clip for clip in _offered(operator, store)}
    for wanted in (drafted, asked()):
        if wanted and wanted not in offered and (clip := named(operator, store, wanted)):
            offered = {clip.id: clip, **offered}
    if not offered:
        st.info("No clip is ready yet. Add one on the Clips page.", icon=":material/movie:")
        st.page_link("../pages/clips.py", label="Clips", icon=":material/movie:")
        return None
    first = drafted or asked()
    ids = list(offered)
    picked = st.selectbox(
        "Clip", ids, index=ids.index(first) if first in offered else None, format_func=lambda id_: label(offered[id_]),
        key=f"{form}_clip", persist_state="session", placeholder="Choose a clip",
    )  # fmt: skip
    if picked is None:
        return None
    _show(offered[picked])
    return offered[picked]


def _offered(operator: Operator, store: Store) -> list[Clip]:
    return clips.page(session.recently(operator, store), store.id, status="completed", limit=OFFERED)


def asked() -> UUID | None:
    """The clip that the address names."""
    try:
        return UUID(st.query_params.get("clip", ""))
    except ValueError:
        return None


def named(operator: Operator, store: Store, clip_id: UUID) -> Clip | None:
    """A clip that is older than those offered, or not ready; None where it is not this store's."""
    try:
        clip = clips.get(operator.database, clip_id)
    except NotFound:
        clip = None
    except AppError as exc:
        st.error(str(exc), icon=":material/error:")
        return None
    if clip is None or clip.profile_id != store.id or clip.deleted_at:
        st.warning("The clip in the address is not one of this store's, or was deleted.", icon=":material/link_off:")
        return None
    return clip


def label(clip: Clip) -> str:
    seconds = f" · {formats.seconds(clip.duration_seconds)}" if clip.duration_seconds else ""
    return f"{clip.name}{seconds}" + ("" if clip.ready else " (not ready yet)")


def _show(clip: Clip) -> None:
    if clip.thumbnail_path:
        st.html(f'<img class="desk-thumbnail" src="/files/thumbnails/{clip.id}" alt="" width="120" loading="lazy">')
    if not clip.ready:
        st.info("This clip is not ready yet: keep a draft, or wait until it is.", icon=":material/hourglass_top:")
