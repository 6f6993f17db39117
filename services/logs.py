"""How log lines look, and which libraries stay quiet."""

import logging
import time
from uuid import UUID

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure(level: str) -> None:
    """Write lines of at least `level` to standard error; times are UTC."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(format=FORMAT, datefmt="%Y-%m-%dT%H:%M:%SZ", force=True)
    logging.getLogger("services").setLevel(level.upper())
    logging.getLogger("ui").setLevel(level.upper())
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # it repeats each failed try of an outage


def tag(profile_id: UUID | str | None) -> str:
    """The mark by which one store's lines are found."""
    return f"[Profile {profile_id}]" if profile_id else "[No profile]"
