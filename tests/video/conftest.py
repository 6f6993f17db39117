"""Fixtures of tests that run jobs."""

from tests.jobs.fixtures import (  # noqa: F401 - pytest finds fixtures by their names here
    database,
    folder,
    shared_world,
    shop,
    start,
    world,
)
