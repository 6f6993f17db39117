"""A database a module: money tests differ by company, not by database. Its own time zone is far from UTC."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from services.database import embedded
from tests.builders import World, fresh_world
from tests.costs.till import Till

OpenTill = Callable[..., Till]


@pytest.fixture(scope="module")
def shared_world(server: embedded.Server, template: str) -> Iterator[World]:
    with fresh_world(server, template) as world:
        world.execute(f"alter database {world.value('select current_database()')} set timezone = 'Pacific/Auckland'")
        world.execute("set timezone = 'Pacific/Auckland'")
        yield world


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    yield shared_world
    shared_world.set_clock(None)


@pytest.fixture
def open_till(world: World) -> OpenTill:
    """Open a company with one store; `quota` and `company` are limits in dollars, 0 = none."""
    return lambda quota="0", company="0", **store: Till.opened(world, quota, company, **store)


@pytest.fixture
def till(open_till: Callable[..., Any]) -> Till:
    """A store with a quota of ten dollars."""
    opened: Till = open_till("10")
    return opened
