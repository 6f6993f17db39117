"""The upload area: many files at once, each with its own progress, straight to the app's own address.

Streamlit's uploader would keep every file in memory, whole, as long as the page is open.
"""

from html import escape
from pathlib import Path
from uuid import UUID

import streamlit as st

from services.clips import ProjectKind
from services.config import settings
from services.profiles import Store
from ui.upload_routes import script_version

HERE = Path(__file__).parent
PICTURES = ".mp4,.mov,.webm,.mkv,.jpg,.jpeg,.png,.gif,.webp"
ENDINGS: dict[ProjectKind, str] = {"video": PICTURES, "podcast": f"{PICTURES},.mp3,.m4a,.wav"}
HINTS: dict[ProjectKind, str] = {
    "video": "MP4, MOV, WebM, MKV, JPEG, PNG, GIF, WebP",
    "podcast": "MP3, M4A, WAV, MP4, MOV, WebM, MKV, and pictures",
}


def area(store: Store, project_id: UUID, kind: ProjectKind) -> None:
    """Files that are dropped or chosen here become clips of the project; the page runs again for each."""
    most = settings().upload_mb
    values = {
        "address": f"/uploads/{store.id}?project={project_id}",
        "most": str(most),
        "accept": ENDINGS[kind],
        "hint": f"{HINTS[kind]} · up to {most:,} MB each",
    }
    data = " ".join(f'data-{name}="{escape(value, quote=True)}"' for name, value in values.items())
    st.html(
        f'<div class="clip-upload" {data}></div><script src="/uploads/script.js?v={script_version()}"></script>',
        unsafe_allow_javascript=True,
    )
    st.button("Show new clips", key="clips_uploaded")  # hidden; the script presses it


def style() -> None:
    st.html(HERE / "clip_style.css")
