"""The product's own app with the bench's empty page in its navigation: `python -m bench.served [constants] PORT`.

With `constants`, whatever the pages ask for is asked for once and then remembered: the same elements from constants.
"""

import sys
from collections.abc import Callable, Hashable
from functools import wraps
from pathlib import Path
from typing import Any
from uuid import UUID

import streamlit as st
from streamlit.web import cli

Call = Callable[..., Any]
EMPTY = Path(__file__).with_name("empty_page.py")
ROOT = Path(__file__).resolve().parents[1]


def add_empty_page() -> None:
    navigation = st.navigation
    st.navigation = lambda pages: navigation([*pages, st.Page(EMPTY, title="Empty", url_path="empty")])


def remember_answers() -> None:
    """Replace what reads or computes, also Streamlit's caches: they copy."""
    st.cache_data = lambda **_: remembered
    from services import demo, identity, profiles
    from services.costs import prices, reports
    from services.jobs import queue
    from services.speech import generation
    from ui import charts

    for owner, names in {
        identity: ("load",),
        profiles: ("my_stores", "checklist"),
        demo: ("people",),
        prices: ("current",),
        queue: ("list_jobs",),
        generation: ("recent", "quote"),
        reports.Dashboard: ("spend_frame", "activity_frame"),
        charts: ("stacked_bars",),
    }.items():
        for name in names:
            setattr(owner, name, remembered(getattr(owner, name)))


def remembered(real: Call) -> Call:
    """Answers the same question from memory. Ids, texts and numbers make a question; databases and frames do not."""
    answers: dict[Hashable, Any] = {}

    @wraps(real)
    def answer(*args: Any, **options: Any) -> Any:
        asked = tuple(value for value in (*args, *options.values()) if isinstance(value, str | int | UUID | None))
        if asked not in answers:
            answers[asked] = real(*args, **options)
        return answers[asked]

    return answer


def main(constants: bool, port: str) -> None:
    sys.path.insert(0, str(ROOT))
    if constants:
        remember_answers()
    add_empty_page()
    cli.main(["run", str(ROOT / "app.py"), "--server.port", port])


if __name__ == "__main__":
    main("constants" in sys.argv[1:-1], sys.argv[-1])
