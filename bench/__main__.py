"""`python -m bench` measures everything in small; `python -m bench money reading` these, in full size."""

import sys
from collections.abc import Callable

from bench import (
    audit,
    clips,
    costs,
    ingest,
    jobs,
    money,
    pages,
    publishing,
    reading,
    rest,
    scripts,
    speech,
    start,
    value,
)

BENCHES: dict[str, Callable[[bool], None]] = {
    "money": money.run,
    "reading": reading.run,
    "costs": costs.run,
    "ingest": ingest.run,
    "value": value.run,
    "audit": audit.run,
    "clips": clips.run,
    "start": start.run,
    "jobs": jobs.run,
    "speech": speech.run,
    "publishing": publishing.run,
    "scripts": scripts.run,
    "pages": pages.run,
    "rest": rest.run,
}


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in BENCHES]:
        sys.stderr.write(f"There is no bench named {unknown[0]}. There are: {', '.join(BENCHES)}.\n")
        return 2
    for name in names or BENCHES:
        BENCHES[name](bool(names))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
