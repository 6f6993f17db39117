"""A stand-in for Postiz on 127.0.0.1: its public API behind the official image's web app, with its refusals."""

from dataclasses import asdict, dataclass, field
from typing import Any
from uuid import uuid4

from tests.fakes.web import Reply, Request, Web, html, json_reply, redirect

__all__ = ["Channel", "FakePostiz", "Organisation", "provider_refusal", "string_refusal", "throttled", "validation"]


@dataclass
class Channel:
    id: str
    name: str
    identifier: str
    picture: str | None = "https://cdn.example.com/picture.jpg"
    disabled: bool = False
    profile: str | None = "handle"
    customer: dict[str, str] | None = None  # left out of the answer when None


@dataclass
class Organisation:
    """What a key opens. `subscribed`: on the cloud, whether it pays. `database_down`: an empty 401, as in reality."""

    key: str
    channels: list[Channel] = field(default_factory=list)
    subscribed: bool = True
    database_down: bool = False


class FakePostiz(Web):
    """The official image, whose web app answers everything outside of `prefix`; with "" the bare API.

    `front`: what the web app does with strangers, "redirect" to its login page or show the "page" itself.
    """

    def __init__(self, prefix: str = "/api", front: str = "redirect", **options: Any) -> None:
        super().__init__(**options)
        self.prefix = prefix
        self.front = front
        self.organisations: dict[str, Organisation] = {}
        self.key = self.organisation(default_channels()).key
        self.api = self.url + prefix

    def organisation(self, channels: list[Channel], key: str | None = None, **values: Any) -> Organisation:
        made = Organisation(key or uuid4().hex * 2, channels, **values)
        self.organisations[made.key] = made
        return made

    def answer(self, request: Request) -> Reply:
        if not request.path.startswith(f"{self.prefix}/"):
            return html() if self.front == "page" else redirect("/auth/login?return=%2F")
        return self._api(request, request.path.removeprefix(self.prefix))

    def _api(self, request: Request, path: str) -> Reply:
        if not path.startswith("/public/v1/"):
            return unknown_route(request)
        opened = self._open(request.headers.get("authorization", ""))
        if isinstance(opened, Reply):
            return opened
        return self._route(request, path.removeprefix("/public/v1"), opened)

    def _open(self, key: str) -> Organisation | Reply:
        if not key:
            return said("No API Key found", 401)
        found = self.organisations.get(key)
        if found is None:
            return said("Invalid OAuth token" if key.startswith("pos_") else "Invalid API key", 401)
        if found.database_down:
            return Reply(401, headers={"logout": "true"})
        return found if found.subscribed else said("No subscription found", 401)

    def _route(self, request: Request, path: str, organisation: Organisation) -> Reply:
        if (request.method, path) == ("GET", "/is-connected"):
            return json_reply({"connected": True})
        if (request.method, path) == ("GET", "/integrations"):
            group = request.query.get("group")
            return json_reply([_shown(channel) for channel in organisation.channels if _in(channel, group)])
        return unknown_route(request)


def default_channels() -> list[Channel]:
    return [
        Channel("cm4tiktok", "My Shop", "tiktok"),
        Channel("cm4insta", "My Shöp", "instagram", picture=None, profile=None, customer={"id": "c1", "name": "North"}),
        Channel("cm4x", "Old shop", "x", disabled=True),
    ]


def _shown(channel: Channel) -> dict[str, Any]:
    return {name: value for name, value in asdict(channel).items() if name != "customer" or value is not None}


def _in(channel: Channel, group: str | None) -> bool:
    return group is None or (channel.customer or {}).get("id") == group


# The four shapes of its refusals ----------------------------------------------------------------------------


def validation(*messages: str) -> Reply:
    return json_reply({"message": list(messages), "error": "Bad Request", "statusCode": 400}, 400)


def string_refusal(message: str, status: int = 400) -> Reply:
    return json_reply({"message": message, "error": "Bad Request", "statusCode": status}, status)


def provider_refusal(provider: str, name: str, message: str) -> Reply:
    return json_reply({"statusCode": 400, "provider": provider, "name": name, "message": message}, 400)


def said(message: str, status: int) -> Reply:
    return json_reply({"msg": message}, status)


def unknown_route(request: Request) -> Reply:
    message = f"Cannot {request.method} {request.path}"
    return json_reply({"message": message, "error": "Not Found", "statusCode": 404}, 404)


def throttled(seconds: int = 3600) -> Reply:
    body = {"statusCode": 429, "message": "ThrottlerException: Too Many Requests"}
    return json_reply(body, 429, retry_after=str(seconds))
