"""What a post says on each of its channels, checked against what the network takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import streamlit as st

from services.clips import Clip
from services.publishing import networks
from services.publishing.networks import Field, MediaFacts, Problem
from services.publishing.posts import Draft, PinnedChannel, Words
from services.publishing.rules import LiveRules
from ui import formats, post_settings

MIMES = {".mp4": "video/mp4", ".jpg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".webp": "image/webp"}


@dataclass(frozen=True)
class Editing:
    """The post on the page: a new one, or a draft; `version` is the one that was seen when it was opened."""

    form: str
    draft: Draft | None
    version: int

    @property
    def saved(self) -> dict[str, Words]:
        """What the draft says, by channel."""
        found = self.draft.publications if self.draft else []
        return {p.channel: Words(channel=p.channel, caption=p.caption, settings=p.settings) for p in found}


def common(editing: Editing) -> str:
    """The words that are said wherever there are no others."""
    st.subheader("Words")
    return st.text_area(
        "Caption", _first_caption(editing), key=f"{editing.form}_caption", height=140, persist_state="session",
        help="Said on every channel, unless you write other words for one below.",
    )  # fmt: skip


def of_channels(
    editing: Editing, caption: str, chosen: Sequence[PinnedChannel], clip: Clip, live: Mapping[str, LiveRules]
) -> tuple[list[Words], list[tuple[PinnedChannel, Problem]]]:
    """What is said on each channel, and what stands against it."""
    said, problems = [], []
    for one in chosen:
        known = live.get(one.channel, LiveRules())
        asked = post_settings.fields(one.identifier, known)
        words = _of_channel(editing, one, caption, known, asked)
        said.append(words)
        found = networks.check(
            one.identifier, words.caption, files(one.identifier, clip), words.settings, known.max_length, asked
        )
        problems += [(one, problem) for problem in found]
    return said, problems


def _first_caption(editing: Editing) -> str:
    """The words that most channels of a draft have in common."""
    captions = [words.caption for words in editing.saved.values()]
    return max(captions, key=captions.count, default="")


def _of_channel(editing: Editing, one: PinnedChannel, common: str, live: LiveRules, asked: Sequence[Field]) -> Words:
    form, saved = f"{editing.form}_{one.channel}", editing.saved.get(one.channel)
    own = saved is not None and saved.caption != _first_caption(editing)
    open_first = own or post_settings.needs(asked)
    with st.expander(f"{networks.label(one.identifier)} · {formats.plain(one.name)}", expanded=open_first):
        other = st.checkbox("Other words here", own, key=f"{form}_own", persist_state="session")
        caption = common
        if other:
            caption = st.text_area(
                "Caption here", saved.caption if saved and own else common, key=f"{form}_caption", height=120,
                persist_state="session",
            )  # fmt: skip
        _room(one.identifier, caption, networks.limit_of(one.identifier, live.max_length))
        answers = post_settings.ask(form, asked, live, saved.settings if saved else {})
    return Words(channel=one.channel, caption=caption, settings=networks.settings_of(one.identifier, answers, asked))


def _room(identifier: str, caption: str, limit: int) -> None:
    used = networks.weighted_length(identifier, caption)
    icon = ":material/error: " if used > limit else ""
    st.caption(f"{icon}{used:,} of {limit:,} characters")


def files(identifier: str, clip: Clip) -> list[MediaFacts]:
    """What is sent of a clip; Pinterest gets its thumbnail as the cover of a video."""
    found = [
        MediaFacts(
            type=clip.media_type or "video", mime=MIMES.get(PurePosixPath(clip.media_path or "").suffix, ""),
            bytes=clip.bytes or 0, seconds=clip.duration_seconds, width=clip.width, height=clip.height,
        )
    ]  # fmt: skip
    if identifier == "pinterest" and clip.media_type == "video" and clip.thumbnail_path:
        found.append(MediaFacts(type="image", mime="image/jpeg", bytes=1))
    return found
