"""E-mails and webhooks: each notice once to each target, whatever goes down, hangs or is killed."""

import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services import vault
from services.config import Settings
from services.connections import transport
from services.errors import Conflict, InvalidInput, NotAllowed, NotFound, TooManyTries
from services.notices import delivery, inbox, mail, webhook
from tests import kill
from tests.fakes.smtp import FakeSmtp
from tests.fakes.web import HANG_UP, Reply, redirect
from tests.fakes.webhook import FakeReceiver
from tests.notices.conftest import SECRET, Send, Town

# E-mail -----------------------------------------------------------------------------------------------------


def mailed(server: FakeSmtp) -> Counter[str]:
    return Counter(letter.recipient for letter in server.letters)


def addresses(town: Town, *names: str) -> Counter[str]:
    return Counter(f"{town.people[name]}@example.test" for name in names)


def test_each_who_wants_it_gets_one_e_mail(town: Town, smtp: FakeSmtp, send: Send) -> None:
    town.tell(text="The key of ElevenLabs is refused.", store=town.quay)
    assert send("email", **smtp.settings(site_url="https://desk.example.com")) == {"sent": 2}
    assert send("email", **smtp.settings()) == {}
    assert mailed(smtp) == addresses(town, "admin", "manager of Quay")
    letter = smtp.letters[0]
    assert letter.message["Subject"].startswith("[Clipdesk] ")
    assert letter.message["Subject"].endswith(" · Quay: An account stopped working")
    assert "The key of ElevenLabs is refused." in letter.text
    assert "Open Clipdesk: https://desk.example.com/notices" in letter.text


def test_a_notice_has_a_worker_look_at_once(town: Town) -> None:
    town.tell()
    town.tell(text="Another.")
    waiting = town.world.rows("select kind from public.jobs where status = 'pending'")
    assert waiting == [{"kind": "send_email"}], "one job serves both"


def test_without_a_mail_server_e_mails_wait_three_days(town: Town, smtp: FakeSmtp, send: Send) -> None:
    town.tell()
    assert send("email") == {}
    assert town.states() == ["pending"]
    town.world.execute("update private.notice_deliveries set created_at = now() - interval '73 hours'")
    assert send("email", **smtp.settings()) == {}
    assert town.states() == ["given_up"]
    assert smtp.letters == []


def test_a_mail_server_that_was_down_for_a_day_sends_it_all_once(town: Town, smtp: FakeSmtp, send: Send) -> None:
    for number in range(3):
        town.tell(text=f"Number {number}", store=town.quay)
    smtp.down()
    for _ in range(24):
        assert send("email", **smtp.settings()) == {"pending": 1}, "one is tried, the others wait with it"
        town.hurry()
    admin = inbox.notice_settings(town.world.as_person(town.people["admin"]), town.account)
    assert (admin.email and admin.email.waiting, admin.email and admin.email.last_error) == (
        6,
        "The mail server of SMTP_HOST cannot be reached.",
    )
    smtp.up()
    assert send("email", **smtp.settings()) == {"sent": 6}
    assert mailed(smtp) == addresses(town, *["admin", "manager of Quay"] * 3)
    assert town.states() == ["sent"] * 6


def test_a_refused_address_is_given_up_and_others_go_on(town: Town, smtp: FakeSmtp, send: Send) -> None:
    town.world.execute("update public.people set email = 'no body@x' where id = %s", town.people["admin"])
    town.tell(store=town.quay)
    assert send("email", **smtp.settings()) == {"given_up": 1, "sent": 1}
    assert mailed(smtp) == addresses(town, "manager of Quay")


def test_a_greylisted_e_mail_is_sent_later(town: Town, smtp: FakeSmtp, send: Send) -> None:
    town.tell()
    smtp.trouble = "later"
    assert send("email", **smtp.settings()) == {"pending": 1}
    smtp.trouble = ""
    assert send("email", **smtp.settings()) == {}, "not at once"
    town.hurry()
    assert send("email", **smtp.settings()) == {"sent": 1}
    assert town.deliveries()[0]["attempts"] == 2


def test_what_the_server_may_have_taken_is_never_sent_again(town: Town, smtp: FakeSmtp, send: Send) -> None:
    town.tell()
    smtp.trouble = "cut after"
    assert send("email", **smtp.settings()) == {"unknown": 1}
    smtp.trouble = ""
    town.hurry()
    assert send("email", **smtp.settings()) == {}
    assert len(smtp.letters) == 1
    found = inbox.notice_settings(town.world.as_person(town.people["admin"]), town.account).email
    assert found is not None
    assert (found.unknown, found.sent) == (1, 0)


@pytest.mark.parametrize(
    "change",
    [
        "update public.people set deactivated_at = now() where id = %s",
        "delete from public.profile_members where person_id = %s",
        "update public.members set role = 'finance' where person_id = %s",
    ],
)
def test_who_is_not_to_be_told_any_more_gets_no_e_mail(town: Town, smtp: FakeSmtp, send: Send, change: str) -> None:
    town.tell(store=town.quay)
    town.world.execute(change, town.people["manager of Quay"])
    assert send("email", **smtp.settings()) == {"sent": 1, "given_up": 1}
    assert mailed(smtp) == addresses(town, "admin")


def test_an_e_mail_says_that_it_is_over(town: Town, smtp: FakeSmtp, send: Send) -> None:
    town.tell(dedupe="dead:1")
    inbox.resolve(town.world.as_worker(), town.account, "dead:1")
    send("email", **smtp.settings())
    assert "It is over since" in smtp.letters[0].text


def test_waits_grow_to_an_hour() -> None:
    assert [round(max(delivery.wait(attempt, 60) for _ in range(50)) / 60) <= most for attempt, most in
            ((1, 1), (2, 2), (5, 16), (9, 60), (400, 60))] == [True] * 5  # fmt: skip
    assert min(delivery.wait(400, 60) for _ in range(50)) >= 1800


# Webhooks ---------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver(SECRET) as running:
        yield running


Hook = Callable[[str], None]
HERE = {"allow_private_addresses": True}


@pytest.fixture
def tell_hook(send: Send, keys: Settings) -> Callable[..., dict[str, Any]]:
    """Run the job that tells webhooks, with the vault's keys."""
    known: dict[str, Any] = {"clipdesk_data": keys.clipdesk_data, **HERE}
    return lambda **values: send("webhook", **{**known, **values})


def test_a_webhook_is_told_signed_with_the_facts(
    town: Town, receiver: FakeReceiver, hook: Hook, tell_hook: Send
) -> None:
    hook(f"{receiver.url}/hooks?token=abc")
    notice = town.tell("quota", "90 % is used.", town.quay, facts={"percent": 90})
    assert tell_hook(site_url="https://desk.example.com") == {"sent": 1}
    (event,) = receiver.events.values()
    assert {name: event[name] for name in ("id", "kind", "text", "facts")} == {
        "id": str(notice), "kind": "quota", "text": "90 % is used.", "facts": {"percent": 90},
    }  # fmt: skip
    assert (event["store"]["name"], event["company"]["id"]) == ("Quay", str(town.account))
    assert event["link"] == "https://desk.example.com/notices"
    assert receiver.requests[0].query == {"token": "abc"}


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(500), "The webhook answered 500."),
        (redirect("http://127.0.0.1/elsewhere"), "The webhook redirects elsewhere"),
        (redirect("http://127.0.0.1/elsewhere", 302), "The webhook redirects elsewhere"),
        (HANG_UP, "broke off"),
        (Reply(204, seconds=60), "did not answer within"),
        (Reply(204, drip=0.1), "did not answer within"),
    ],
)
def test_a_webhook_that_fails_is_tried_again_under_the_same_id(
    town: Town, receiver: FakeReceiver, hook: Hook, tell_hook: Send, monkeypatch: pytest.MonkeyPatch, reply: Reply,
    sentence: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(webhook, "SECONDS", 0.4)
    hook(receiver.url)
    notice = town.tell()
    receiver.misbehave(reply)
    assert tell_hook() == {"pending": 1}
    (waiting,) = [row for row in town.deliveries() if row["channel"] == "webhook"]
    assert sentence in waiting["error"]
    assert len(receiver.requests) == 1, "no redirect is followed"
    receiver.behave()
    assert tell_hook() == {}, "not at once"
    town.hurry()
    assert tell_hook() == {"sent": 1}
    assert [request.headers["idempotency-key"] for request in receiver.requests] == [str(notice)] * 2


def test_a_webhook_that_fails_lets_the_others_of_its_company_wait(
    town: Town, receiver: FakeReceiver, hook: Hook, tell_hook: Send
) -> None:
    hook(receiver.url)
    for number in range(5):
        town.tell(text=f"Number {number}")
    receiver.misbehave(Reply(503))
    assert tell_hook() == {"pending": 1}
    receiver.behave()
    town.hurry()
    assert tell_hook() == {"sent": 5}


def test_a_webhook_in_a_private_network_is_not_called(
    town: Town, receiver: FakeReceiver, hook: Hook, tell_hook: Send, keys: Settings
) -> None:
    admin = town.world.as_person(town.people["admin"])
    outside = keys.model_copy(update={"allow_private_addresses": False})
    for host in ("localhost", "127.0.0.1", "127.1", "10.0.0.1", "[::1]", "169.254.169.254"):
        address = f"https://{host}/hook"
        with pytest.raises(InvalidInput) as caught:
            webhook.save(admin, outside, town.account, address=address, secret="", enabled=True, version=None)
        assert caught.value.field == "address"
    hook(receiver.url.replace("127.0.0.1", "localhost"))
    town.tell()
    assert tell_hook(allow_private_addresses=False) == {"pending": 1}
    assert receiver.requests == []
    assert webhook.try_typed("https://localhost.localdomain.invalid/", "", outside).ok is False


@pytest.mark.parametrize("leads_to", [["10.0.0.7"], ["93.184.215.14", "127.0.0.1"], ["::ffff:169.254.169.254"]])
def test_a_public_name_that_leads_to_a_private_place_is_not_called(
    town: Town, hook: Hook, tell_hook: Send, keys: Settings, monkeypatch: pytest.MonkeyPatch, leads_to: list[str]
) -> None:
    """Nobody can see it in the name: it is found in the moment of sending, and nothing is dialled."""
    monkeypatch.setattr(transport, "resolve", lambda host, port: leads_to)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: pytest.fail("dialled"))
    outside = keys.model_copy(update={"allow_private_addresses": False})
    tried = webhook.try_typed("https://hooks.example.com/x", "", outside)
    assert (tried.ok, "lies in a private network" in tried.sentence) == (False, True)
    hook("https://hooks.example.com/x")
    town.tell()
    assert tell_hook(allow_private_addresses=False) == {"pending": 1}
    (waiting,) = [row for row in town.deliveries() if row["channel"] == "webhook"]
    assert "lies in a private network" in waiting["error"]


@pytest.mark.parametrize("address", ["", "desk.example.com", "ftp://x.example.com", "https://a b.example.com", "https://",
                                     "https://user:pass@x.example.com", "https://x.example.com/#top", "https://x\\y",
                                     "https://x.example.com/" + "y" * 2000, "http://x.example.com",
                                     "https://[abc/x", "https://ex℀mple.com/x"])  # fmt: skip
def test_addresses_that_cannot_be_are_refused(address: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        webhook.clean_address(address, kill.options())
    assert caught.value.field == "address"


@pytest.mark.parametrize("secret", ["short", "with a blank inside it", "größe-größe-größe", "x" * 3000])
def test_secrets_that_cannot_be_are_refused_without_quoting_them(secret: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        webhook.clean_secret(secret)
    assert secret not in str(caught.value)
    made = webhook.clean_secret(" ")
    assert len(made.get_secret_value()) > 40
    assert made != webhook.clean_secret("")


def test_the_webhook_s_secrets_are_sealed_and_stay_so(
    town: Town, receiver: FakeReceiver, hook: Hook, tell_hook: Send, keys: Settings
) -> None:
    hook(f"{receiver.url}/hooks/planted-token")
    admin = town.world.as_person(town.people["admin"])
    found = inbox.notice_settings(admin, town.account).webhook
    manager = town.world.as_person(town.people["manager of Quay"])
    assert inbox.notice_settings(manager, town.account).webhook is None
    assert found == inbox.Webhook(shown_address="127.0.0.1", last4=SECRET[-4:], enabled=True, version=1)
    address = f"{receiver.url}/planted-token"
    made = webhook.save(admin, keys, town.account, address=address, secret="", enabled=True, version=1)
    assert made is not None
    receiver.misbehave(Reply(500))
    town.tell()
    tell_hook()
    dump = [
        json.dumps(row, default=str)
        for table in town.world.rows("select format('%I.%I', schemaname, tablename) as name from pg_tables"
                                     " where schemaname in ('public', 'private')".replace("%", "%%"))
        for row in town.world.rows(f"select * from {table['name']}")
    ]  # fmt: skip
    for planted in (SECRET, made.get_secret_value(), "planted-token"):
        assert not [line for line in dump if planted in line]
    assert len(town.world.rows("select * from private.sealed_keys")) == 1, "the first is forgotten"
    town.world.execute("select private.forget_keys()")
    assert len(town.world.rows("select * from private.sealed_keys")) == 1, "and the second is not"


def test_a_rotated_vault_still_opens_it(
    town: Town, receiver: FakeReceiver, hook: Hook, tell_hook: Send, keys: Settings
) -> None:
    hook(receiver.url)
    vault._add_key(keys.clipdesk_data / "vault")
    vault._publish(keys.clipdesk_data / "vault")
    assert vault.rotate(town.world.as_worker(), keys).resealed == 1
    town.tell()
    assert tell_hook() == {"sent": 1}


def test_a_worker_without_the_vault_s_key_says_so_and_tries_later(
    town: Town, receiver: FakeReceiver, hook: Hook, tell_hook: Send, tmp_path: Path
) -> None:
    hook(receiver.url)
    town.tell()
    assert tell_hook(clipdesk_data=tmp_path / "other") == {"pending": 1}
    town.hurry()
    assert tell_hook() == {"sent": 1}


def test_the_webhook_is_changed_by_admins_who_saw_it_as_it_is(
    town: Town, receiver: FakeReceiver, hook: Hook, keys: Settings
) -> None:
    hook(receiver.url)
    admin, manager = (town.world.as_person(town.people[name]) for name in ("admin", "manager of Quay"))
    stranger = town.world.as_person(town.world.person(town.world.company("Other"), "admin"))
    keep = {"address": "", "secret": "", "enabled": False}
    with pytest.raises(Conflict, match="Somebody saved this meanwhile"):
        webhook.save(admin, keys, town.account, **keep, version=None)
    with pytest.raises(NotAllowed):
        webhook.save(manager, keys, town.account, **keep, version=1)
    with pytest.raises(NotFound):
        webhook.save(stranger, keys, town.account, **keep, version=1)
    assert webhook.save(admin, keys, town.account, **keep, version=1) is None
    with pytest.raises(Conflict):
        webhook.remove(admin, town.account, 1)
    webhook.remove(admin, town.account, 2)
    assert inbox.notice_settings(admin, town.account).webhook is None
    log = town.world.rows(
        "select action, before->>'enabled' as before, after->>'enabled' as after from public.audit_log"
        " where action like 'webhook%%' order by id"
    )
    assert [tuple(row.values()) for row in log] == [
        ("webhook_saved", None, "true"), ("webhook_saved", "true", "false"), ("webhook_removed", "false", None),
    ]  # fmt: skip


def test_a_switched_off_webhook_is_told_nothing(
    town: Town, receiver: FakeReceiver, hook: Hook, tell_hook: Send, keys: Settings
) -> None:
    hook(receiver.url)
    town.tell()
    admin = town.world.as_person(town.people["admin"])
    webhook.save(admin, keys, town.account, address="", secret="", enabled=False, version=1)
    town.tell(text="Later.")
    assert tell_hook() == {"given_up": 1}
    assert receiver.requests == []


def test_a_test_of_what_is_saved_goes_by_the_worker(
    town: Town, receiver: FakeReceiver, hook: Hook, tell_hook: Send
) -> None:
    hook(receiver.url)
    admin = town.world.as_person(town.people["admin"])
    test = webhook.try_saved(admin, town.account)
    assert webhook.test_state(admin, town.account, test) is None
    with pytest.raises(TooManyTries):
        webhook.try_saved(admin, town.account)
    receiver.misbehave(Reply(404))
    tell_hook()
    assert webhook.test_state(admin, town.account, test) == webhook.Posted(False, "The webhook answered 404.")
    assert inbox.inbox(admin, town.account) == []
    manager = town.world.as_person(town.people["manager of Quay"])
    assert webhook.test_state(manager, town.account, test) is None
    with pytest.raises(NotFound):
        webhook.try_saved(manager, town.account)


def test_a_test_of_what_is_typed_goes_from_here(receiver: FakeReceiver, keys: Settings) -> None:
    assert webhook.try_typed(receiver.url, SECRET, keys) == webhook.Posted(True, "The webhook took the test.")
    assert webhook.try_typed(receiver.url, "another secret".replace(" ", "-") * 2, keys).sentence.endswith("401.")


def test_the_demo_keeps_no_webhook(town: Town, keys: Settings) -> None:
    town.world.execute("update public.accounts set is_demo = true where id = %s", town.account)
    admin = town.world.as_person(town.people["admin"])
    vault.note(town.world.as_worker(), keys)
    with pytest.raises(NotAllowed, match="nothing to the outside"):
        webhook.save(admin, keys, town.account, address="https://x.example.com", secret="", enabled=True, version=None)


# Many workers, and workers that die ---------------------------------------------------------------------------


def test_four_workers_deliver_each_once(
    town: Town, smtp: FakeSmtp, receiver: FakeReceiver, hook: Hook, start: Callable[..., Any], keys: Settings
) -> None:
    hook(receiver.url)
    smtp.seconds = 0.01
    notices = [town.tell(text=f"Number {number}", store=town.quay) for number in range(25)]
    handlers = {"send_email": delivery.send_emails, "send_webhook": delivery.send_webhooks}
    for _ in range(3):
        for kind in handlers:
            town.world.job(kind)
    for _ in range(4):
        start(handlers, job_lease_seconds=30, clipdesk_data=keys.clipdesk_data, **HERE, **smtp.settings())
    kill.wait_until(lambda: set(town.states()) == {"sent"}, "all were delivered")
    assert mailed(smtp) == addresses(town, *["admin", "manager of Quay"] * 25)
    assert sorted(receiver.came) == sorted(map(str, notices))


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch, server: Any, database: str, tmp_path: Path) -> Callable[..., None]:
    """dying("delivered:1", SMTP_HOST=…): a worker process runs until it dies at that place."""

    def die(place: str, **environment: Any) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        kill.die_at(place, server, database, tmp_path / "media")

    return die


@pytest.mark.parametrize(
    ("place", "taken", "state"),
    [("delivery_claimed:1", 0, "sent"), ("handed_over:1", 0, "unknown"), ("delivered:1", 1, "unknown"),
     ("delivery_noted:1", 1, "sent")],
)  # fmt: skip
def test_a_worker_killed_while_mailing_sends_nothing_twice(
    town: Town, smtp: FakeSmtp, send: Send, dying: Callable[..., None], place: str, taken: int, state: str
) -> None:
    kill.quiet(town.world)
    town.tell()
    dying(place, **{name.upper(): value for name, value in smtp.settings().items()})
    assert len(smtp.letters) == taken
    town.hurry()
    send("email", **smtp.settings())
    assert town.states() == [state]
    assert len(smtp.letters) == (0 if place == "handed_over:1" else 1), "at most once"


@pytest.mark.parametrize("place", ["delivery_claimed:1", "delivered:1", "delivery_noted:1"])
def test_a_worker_killed_while_telling_a_webhook_loses_nothing(
    town: Town, receiver: FakeReceiver, keys: Settings, hook: Hook, tell_hook: Send, dying: Callable[..., None],
    place: str,
) -> None:  # fmt: skip
    kill.quiet(town.world)
    hook(receiver.url)
    notice = town.tell("quota", store=town.quay)
    private = (keys.clipdesk_data / "vault" / "private").read_text().strip()
    public = (keys.clipdesk_data / "vault" / "public").read_text().strip()
    dying(place, VAULT_KEYS=private, VAULT_PUBLIC_KEY=public, ALLOW_PRIVATE_ADDRESSES="true")
    town.hurry()
    tell_hook()
    assert list(receiver.events) == [str(notice)], "what came twice has the same id"
    assert [row["state"] for row in town.deliveries() if row["channel"] == "webhook"] == ["sent"]


def test_a_sender_that_was_paused_hands_nothing_over(
    town: Town, smtp: FakeSmtp, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it slept, its lease ran out and another sent the e-mail."""
    town.tell()
    real, slept = mail.send, []

    def paused(options: Settings, letter: mail.Mail, hand_over: Callable[[], None]) -> mail.Handed:
        if not slept:
            slept.append(True)
            town.hurry()
            assert send("email", **smtp.settings()) == {"sent": 1}
        return real(options, letter, hand_over)

    monkeypatch.setattr(mail, "send", paused)
    assert send("email", **smtp.settings()) == {}
    assert len(smtp.letters) == 1
