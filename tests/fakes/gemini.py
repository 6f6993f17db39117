"""A stand-in for the Gemini API on 127.0.0.1: its models and its refusals."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.fakes.web import Reply, Request, Web, json_reply

__all__ = ["FakeGemini", "Model", "refusal", "throttled"]

DOMAIN = "googleapis.com"


@dataclass
class Model:
    name: str
    title: str
    methods: tuple[str, ...] = ("generateContent", "countTokens")


class FakeGemini(Web):
    """`keys` are let in; those of `limited` are right but may not use the API."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.key = f"AQ.{uuid4().hex}"
        self.keys = {self.key}
        self.limited: set[str] = set()
        self.models = default_models()

    def answer(self, request: Request) -> Reply:
        key = request.headers.get("x-goog-api-key") or request.query.get("key")
        if key in self.limited:
            return refusal(403, "PERMISSION_DENIED", "Generative Language API has not been used.", "SERVICE_DISABLED")
        if not key:
            return refusal(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers.")
        if key not in self.keys:
            return refusal(400, "INVALID_ARGUMENT", "API key not valid.", "API_KEY_INVALID")
        if (request.method, request.path) in (("GET", "/v1/models"), ("GET", "/v1beta/models")):
            return self._page(request)
        return refusal(404, "NOT_FOUND", f"{request.path} is not found.")

    def _page(self, request: Request) -> Reply:
        size = min(int(request.query.get("pageSize") or 50), 1000)
        start = int(request.query.get("pageToken") or 0)
        more = len(self.models) > start + size
        page: dict[str, Any] = {"models": [_shown(model) for model in self.models[start : start + size]]}
        return json_reply({**page, "nextPageToken": str(start + size)} if more else page)


def default_models() -> list[Model]:
    return [
        Model("models/gemini-3.8-flash", "Gemini 3.8 Flash"),
        Model("models/gemini-3.5-flash-lite", "Gemini 3.5 Flash-Lite"),
        Model("models/gemini-embedding-001", "Gemini Embedding 001", ("embedContent",)),
    ]


def _shown(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "version": "001",
        "displayName": model.title,
        "inputTokenLimit": 1048576,
        "outputTokenLimit": 65536,
        "supportedGenerationMethods": list(model.methods),
    }


def refusal(status: int, state: str, message: str, reason: str = "", *details: dict[str, Any]) -> Reply:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": DOMAIN}
    told = [info, *details] if reason else list(details)
    return json_reply({"error": {"code": status, "message": message, "status": state, "details": told}}, status)


def throttled(delay: str = "17s", quota: str = "GenerateRequestsPerMinutePerProjectPerModel") -> Reply:
    """429 with the pause that is asked for, and the quota that ran out."""
    failure = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota}]}
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    return refusal(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", "", failure, retry)
