"""Entries that are sent again and again, by many, are in the ledger once."""

import random
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from tests.costs.conftest import OpenTill
from tests.costs.till import MICRO, item

WRITERS, COUNT, PIECE = 8, 10_000, 50


def test_entries_sent_twice_by_eight_writers_are_booked_once(open_till: OpenTill) -> None:
    till = open_till("100")
    holds = [till.hold("1") for _ in range(4)]
    pieces = [[item(MICRO) for _ in range(PIECE)] for _ in range(COUNT // PIECE)]
    sent = [(holds[n % len(holds)], piece) for n, piece in enumerate(pieces)] * 2
    random.shuffle(sent)
    with ThreadPoolExecutor(WRITERS) as writers:
        list(writers.map(lambda order: till.settle(order[0], *order[1], final=False), sent))
    entries = till.entries()
    assert len(entries) == len({row["id"] for row in entries}) == COUNT
    assert [row["seq"] for row in entries] == list(range(1, COUNT + 1))
    settled, held, overrun = till.counter()
    assert (settled, held, overrun) == (COUNT * MICRO, len(holds) * Decimal(1) - COUNT * MICRO, 0)
    assert till.differences() == []
