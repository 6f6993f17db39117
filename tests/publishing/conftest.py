from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import World
from tests.publishing.press import Press, pressing


@pytest.fixture
def press(shared_world: World, tmp_path: Path) -> Iterator[Press]:
    with pressing(shared_world, tmp_path) as made:
        yield made
