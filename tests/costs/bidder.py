"""What the processes of the race tests do. Any of them may be killed at any moment and started again."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from uuid import UUID, uuid4, uuid5

from services.database.connect import Doors
from services.database.door import Database
from services.database.postgres import open_pool
from services.errors import AttemptLost, QuotaExceeded
from tests.builders import speech
from tests.costs.till import item


def bid(url: str, store: UUID, usd: str, requests: list[UUID], threads: int) -> list[bool]:
    """Hold the amount once a request, each over a connection of its own; returns which were granted."""
    with _worker(url, threads) as worker, ThreadPoolExecutor(threads) as bidders:
        return list(bidders.map(lambda request: _granted(worker, store, usd, request), requests))


def trade(url: str, store: UUID, usd: str, requests: list[UUID]) -> None:
    """Hold and settle each request, in an order of its own and over again where others did it before."""
    with _worker(url, 2) as worker, ThreadPoolExecutor(2) as traders:
        list(traders.map(lambda request: _trade(worker, store, usd, request), _shuffled(requests)))


def enqueue(url: str, person: UUID, store: UUID, texts: dict[UUID, str]) -> None:
    """Order each text as the person, under its job's id."""
    pool = open_pool(url, 2)
    try:
        door = Doors(pool, None).person(person)
        with ThreadPoolExecutor(2) as clerks:
            list(clerks.map(lambda job: _ordered(door, store, job, texts[job]), _shuffled(list(texts))))
    finally:
        pool.close()


def work(url: str, lease_seconds: float) -> None:
    """Speak what is queued, for ever."""
    with _worker(url, 2) as worker:
        while True:
            job = worker.call("claim_job", p_worker="race", p_kinds=["speech"], p_lease_seconds=lease_seconds)
            threading.Event().wait(random.uniform(0, 0.02))
            if job:
                _speak(worker, job["id"], job["attempt_token"])


@contextmanager
def _worker(url: str, connections: int) -> Iterator[Database]:
    pool = open_pool(url, connections)
    try:
        pool.resize(connections, connections)
        pool.wait(60)  # all connected before the first asks: 64 sign-ins take longer than a lock waits
        yield Doors(pool, pool).worker()
    finally:
        pool.close()


def _shuffled(things: list[UUID]) -> list[UUID]:
    return random.sample(things, len(things))


def _granted(worker: Database, store: UUID, usd: str, request: UUID) -> bool:
    try:
        worker.call(
            "hold_cost",
            p_request_id=request,
            p_profile_id=store,
            p_estimate_usd=Decimal(usd),
            p_service="practice",
        )
    except QuotaExceeded:
        return False
    return True


def _trade(worker: Database, store: UUID, usd: str, request: UUID) -> None:
    if _granted(worker, store, usd, request):
        bought = [item(usd, id=str(uuid5(request, "bought")))]
        worker.call("settle_cost", p_request_id=request, p_entries=bought, p_final=random.random() < 0.5)
        worker.call("settle_cost", p_request_id=request, p_entries=bought)


def _ordered(door: Database, store: UUID, job: UUID, text: str) -> None:
    try:
        door.call("enqueue_speech", p_job_id=job, p_profile_id=store, p_speech=speech(text))
    except QuotaExceeded:
        return


def buy(worker: Database, job: str, token: str) -> str:
    """Buy the job's one passage, or find it bought; returns the purchase's id."""
    while True:
        purchase = worker.call("begin_purchase", p_job_id=job, p_attempt_token=token, p_place=0)
        name = purchase["id"]
        if purchase["state"] == "settled":
            return str(name)
        if purchase["state"] == "intent":
            worker.call("send_purchase", p_job_id=job, p_attempt_token=token, p_purchase_id=name, p_seconds=60)
            units, path = purchase["characters"], f"{name}.wav"
            worker.call("settle_purchase", p_purchase_id=name, p_units=units, p_vendor_id=None, p_media_path=path)
        else:  # whoever sent it is dead, and nobody bills a local voice
            worker.call("refuse_purchase", p_purchase_id=name, p_error="The answer never came.")


def _speak(worker: Database, job: str, token: str) -> None:
    spoken = {"id": str(uuid4()), "media_path": f"{token}.mp3", "duration_seconds": "1", "bytes": 1}
    try:
        buy(worker, job, token)
        worker.call("save_speech", p_job_id=job, p_attempt_token=token, p_speech=spoken)
    except AttemptLost:
        return
