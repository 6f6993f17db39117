"""Which kinds of jobs there are, and what does them. docs/jobs.md says how to add one."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from services.jobs import periodic
from services.jobs.context import Context
from services.speech import catalogue, generation, reconcile

# Returns the job's result, plain JSON, or None. What it raises ends the attempt: see attempt.failure.
Handler = Callable[[Context], dict[str, Any] | None]


def _rare(module: str, name: str) -> Handler:
    """A handler whose module is imported when it is wanted: few workers ever are."""

    def run(context: Context) -> dict[str, Any] | None:
        handler: Handler = getattr(import_module(module), name)
        return handler(context)

    return run


HANDLERS: dict[str, Handler] = {
    "speech": generation.speak,
    "voices": catalogue.list_voices,
    "prepare_clip": _rare("services.clip_work", "prepare"),
    "put_speech": _rare("services.clip_work", "put_speech"),
    "script": _rare("services.scripts.pipeline", "write"),
    "captions": _rare("services.scripts.caption_work", "propose"),
    "cover": _rare("services.scripts.cover_work", "draw"),
    "reconcile": reconcile.reconcile,
    "sweep_media": periodic.sweep_media,
    "tidy": periodic.tidy,
    "check_money": periodic.check_money,
    "export_costs": _rare("services.costs.export_work", "export_costs"),
    "export_ledger": _rare("services.costs.export_work", "export_ledger"),
    "check_money_of": _rare("services.costs.trust", "check_company"),
    "rebuild_costs": _rare("services.costs.trust", "rebuild"),
    "forget_previews": _rare("services.costs.trust", "forget_previews"),
    "alerts": _rare("services.costs.alerts", "look"),
    "demo": _rare("services.demo", "load"),
    "test_credential": _rare("services.credentials", "test_one"),
    "test_credentials": _rare("services.credentials", "test_all"),
    "send_email": _rare("services.notices.delivery", "send_emails"),
    "send_webhook": _rare("services.notices.delivery", "send_webhooks"),
    "channel_rules": _rare("services.publishing.rules", "ask"),
    "publish": _rare("services.publishing.publisher", "publish"),
    "invite": _rare("services.accounts.mails", "invite"),
    "password_reset": _rare("services.accounts.mails", "reset"),
}
