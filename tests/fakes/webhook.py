"""A program that a company's webhook leads to: it checks signatures and drops what it had before."""

import hashlib
import hmac
import json
from typing import Any

from tests.fakes.web import Reply, Request, Web


class FakeReceiver(Web):
    """`events` are those that came with a good signature, each id once; `came` counts all of them."""

    def __init__(self, secret: str) -> None:
        super().__init__()
        self.secret = secret
        self.events: dict[str, dict[str, Any]] = {}
        self.came: list[str] = []

    def answer(self, request: Request) -> Reply:
        if not self._signed(request):
            return Reply(401)
        event = json.loads(request.body)
        assert event["id"] == request.headers["idempotency-key"]
        self.came.append(event["id"])
        self.events.setdefault(event["id"], event)
        return Reply(204)

    def _signed(self, request: Request) -> bool:
        parts = dict(part.split("=", 1) for part in request.headers["clipdesk-signature"].split(","))
        told = f"{parts['t']}.".encode() + request.body
        return hmac.compare_digest(parts["v1"], hmac.new(self.secret.encode(), told, hashlib.sha256).hexdigest())
