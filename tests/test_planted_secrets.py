"""Every secret of an installation is planted, used, and failed with in every way the fakes can; then looked for."""

import logging
from contextlib import ExitStack
from typing import Any

import pytest
import streamlit as st
from pydantic import SecretStr
from streamlit.testing.v1 import AppTest

from services import audit, connections, credentials, identity, vault
from services.config import settings
from services.connections import Found
from services.jobs import attempt
from services.jobs.context import Claimed, Context
from services.jobs.handlers import HANDLERS
from services.media.folder import Folder
from services.notices import inbox, webhook
from tests import kill
from tests.builders import World
from tests.fakes.elevenlabs import FakeElevenLabs
from tests.fakes.gemini import FakeGemini
from tests.fakes.postiz import FakePostiz
from tests.fakes.smtp import FakeSmtp
from tests.fakes.web import HANG_UP, Reply, html, json_reply, redirect
from tests.fakes.webhook import FakeReceiver
from tests.pages.conftest import SHELL
from tests.test_secrets import stored
from ui import session

MAIL_PASSWORD, HOOK_SECRET = "mail-password-7319", "whsec_planted_4711_secret"
SESSION_KEY = "cGxhbnRlZC1zZXNzaW9uLWtleS1vZi0zMi1ieXRlcyE="
PAGES = ("settings", "admin", "audit", "notices", "voice", "jobs", "overview")


def troubles(key: str) -> list[Reply]:
    """Ways to fail, the worst of which repeat the key."""
    said = {"message": f"bad key {key}", "error": key}
    return [
        json_reply(said, 401), json_reply(said, 403), json_reply(said, 429), json_reply(said, 500),
        html(f"<html>{key}</html>".encode()), redirect(f"https://elsewhere.test/?key={key}"), HANG_UP,
        Reply(200, f'{{"half": "{key}'.encode(), cut=True), json_reply([key]),
    ]  # fmt: skip


@pytest.fixture
def vendors():
    with ExitStack() as stack:
        found = {"gemini": stack.enter_context(FakeGemini()), "postiz": stack.enter_context(FakePostiz())}
        yield found


@pytest.fixture
def place(desk: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALLOW_PRIVATE_ADDRESSES", "true")
    monkeypatch.setenv("SESSION_KEY", SESSION_KEY)
    settings.cache_clear()
    vault.note(desk.as_worker(), settings())
    account = desk.company()
    store = desk.store(account, name="Quay", slug="quay")
    return {"account": account, "store": store, "admin": desk.person(account, "admin")}


def test_no_planted_secret_is_found_anywhere(desk, place, vendors, tmp_path, caplog, capfd, monkeypatch, server):
    caplog.set_level(logging.INFO)  # libraries a level lower than the product lets them speak
    for name in ("services", "ui"):
        caplog.set_level(logging.DEBUG, name)
    told: list[str] = []
    with FakeElevenLabs() as eleven, FakeSmtp(user=("desk", MAIL_PASSWORD)) as smtp:
        monkeypatch.setenv("ELEVENLABS_URL", eleven.url)
        for name, value in {
            "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(smtp.port), "SMTP_USER": "desk", "SMTP_PASSWORD": MAIL_PASSWORD,
            "SMTP_FROM": "desk@example.test", "SMTP_SECURITY": "starttls",
        }.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        keys = {"elevenlabs": eleven.key, **{name: vendor.key for name, vendor in vendors.items()}}
        monkeypatch.setenv("GEMINI_URL", vendors["gemini"].url)
        settings.cache_clear()
        save_all(desk, place, vendors, keys, told)
        fail_in_every_way(desk, place, vendors, keys, tmp_path, told)
        hook_and_mail(desk, place, smtp, tmp_path, told)
    ring = [file.read_text() for file in (settings().clipdesk_data / "vault").rglob("*") if file.is_file()]
    private = [word for text in ring for word in text.split() if word.startswith("vaultkey_")]
    assert private
    planted = [*keys.values(), MAIL_PASSWORD, HOOK_SECRET, SESSION_KEY, *private]
    output = capfd.readouterr()
    everything = {
        "errors": "\n".join(told),
        "log": caplog.text,
        "records": "\n".join(str(vars(record)) for record in caplog.records),
        "output": output.out + output.err,
        "rows": stored(desk),
        "database's log": (server.folder / "postgres.log").read_text(errors="replace"),
        "audit export": audit.csv_file(
            desk.as_person(place["admin"]), place["account"], audit.Wanted(timezone="UTC")
        ).decode(),
        **pages_shown(desk, place, monkeypatch),
    }
    found = [(where, secret[:6]) for where, text in everything.items() for secret in planted if secret in text]
    assert found == []
    assert all(f"••••{key[-4:]}" in everything["page settings"] for key in keys.values()), "the keys were saved"


def save_all(desk: World, place: dict[str, Any], vendors: Any, keys: dict[str, str], told: list[str]) -> None:
    """For the company and for the store, tested before saving."""
    admin = desk.as_person(place["admin"])
    for provider, key in keys.items():
        address = vendors["postiz"].api if provider == "postiz" else None
        found = connections.test(provider, address, SecretStr(key), settings())
        assert found.ok, (provider, found.message)
        told.append(found.model_dump_json())
        for profile in (None, place["store"]):
            credentials.save(
                admin, settings(), place["account"], profile, provider, address, SecretStr(key), shared=profile is None,
                found=found,
            )  # fmt: skip


def fail_in_every_way(
    desk: World, place: Any, vendors: Any, keys: dict[str, str], tmp_path: Any, told: list[str]
) -> None:
    """The worker's own tests of what is saved, against vendors that misbehave one way after the other."""
    for number in range(len(troubles(""))):
        for name, vendor in vendors.items():
            vendor.behave()
            vendor.misbehave(troubles(keys[name])[number])
        told.append(str(run(desk, tmp_path, "test_credentials")))
    for vendor in vendors.values():
        vendor.behave()
    for provider, key in keys.items():
        address = vendors["postiz"].api if provider == "postiz" else None
        wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
        found: Found = connections.test(provider, address, SecretStr(wrong), settings())
        assert not found.ok
        told.append(found.message)


def hook_and_mail(desk: World, place: Any, smtp: FakeSmtp, tmp_path: Any, told: list[str]) -> None:
    """A webhook that repeats what it was sent, and a mail server that offers no encryption for its password."""
    admin = desk.as_person(place["admin"])
    with FakeReceiver(HOOK_SECRET) as receiver:
        webhook.save(
            admin, settings(), place["account"], address=receiver.url, secret=HOOK_SECRET, enabled=True, version=None
        )
        for number, reply in enumerate((*troubles(HOOK_SECRET), None)):
            receiver.behave()
            if reply:
                receiver.misbehave(reply)
            told.append(str(webhook.try_typed(receiver.url, HOOK_SECRET, settings())))
            inbox.publish(desk.as_worker(), place["account"], "credential_dead", "Broken.", dedupe=f"planted {number}")
            told.append(str(run(desk, tmp_path, "send_webhook")))
        told.append(str(run(desk, tmp_path, "send_email")))
        assert receiver.events
    assert smtp.letters == []


def exported(desk: World, place: dict[str, Any]) -> str:
    return audit.csv_file(desk.as_person(place["admin"]), place["account"], audit.Wanted(timezone="UTC")).decode()


def run(desk: World, folder: Any, kind: str) -> dict[str, Any]:
    """One job of the kind, now, as a worker would; returns its row."""
    desk.execute("delete from public.jobs where kind = %s and status = 'pending'", kind)
    desk.job(kind)
    found = desk.as_worker().call("claim_job", p_worker="hand", p_kinds=[kind], p_lease_seconds=60)
    context = Context(Claimed.model_validate(found), desk.as_worker(), Folder(folder / "media"), settings())
    attempt.run(context, HANDLERS[kind])
    return kill.job_row(desk, context.job.id)


def pages_shown(desk: World, place: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """All that Streamlit would send of each page, and what it keeps for the visitor."""
    secret = identity.open_session(place["admin"], address="127.0.0.1", agent="test")
    monkeypatch.setattr(session, "cookie", lambda: secret)
    st.cache_data.clear()
    shown = {}
    for page in PAGES:
        test = AppTest.from_file(str(SHELL), default_timeout=30)
        if page != "settings":
            test.session_state["profile"] = "quay"
        test.run()
        if page != "overview":
            test.switch_page(f"../pages/{page}.py").run()
        assert not test.exception, page
        sent = [str(element.proto) for element in test._tree if getattr(element, "proto", None)]
        shown[f"page {page}"] = "\n".join([repr(test), *sent])
    return shown
