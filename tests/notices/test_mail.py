"""What the mail server gets, and what is said when it gets nothing."""

import ssl
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from services.config import Settings
from services.errors import AttemptLost, InvalidInput, Unavailable
from services.notices import mail
from services.notices.mail import Handed, Mail
from tests import kill
from tests.fakes.smtp import FakeSmtp, Trouble


def options(server: FakeSmtp, **values: Any) -> Settings:
    return kill.options(**server.settings(**values))


def letter(**values: Any) -> Mail:
    return Mail(**{"email": "anna@example.test", "subject": "Quota", "text": "Used.\n", "id": uuid4(), **values})


def test_a_letter_arrives_as_it_was_written(smtp: FakeSmtp) -> None:
    text = "Größe: 90 % — ąę 文字\n.a line with a dot\n..\nlong " + "x" * 2000 + "\n"
    sent = letter(subject="Żurek\r\nBcc: evil@example.test", text=text)
    assert mail.send(options(smtp), sent) == Handed("sent")
    (found,) = smtp.letters
    assert (found.sender, found.recipient, found.text) == ("desk@example.test", "anna@example.test", text)
    assert found.message["Subject"] == "Żurek Bcc: evil@example.test"
    assert (found.message["To"], found.message["From"]) == ("anna@example.test", "Clipdesk <desk@example.test>")
    assert (found.message["Bcc"], found.message["Message-ID"]) == (None, f"<{sent.id}@example.test>")
    assert found.content.isascii(), "servers without 8BITMIME would spoil it"


@pytest.mark.parametrize(
    "email",
    ["anna", "anna@", "@example.test", "a@b, c@d", "a b@example.test", "a@b\r\nRCPT TO:<c@d>", "änna@example.test",
     "<a>@example.test", "a@" + "b" * 64 + ".test"],
)  # fmt: skip
def test_addresses_that_are_none_reach_no_server(smtp: FakeSmtp, email: str) -> None:
    assert mail.send(options(smtp), letter(email=email)).state == "refused"
    assert smtp.said == []


def test_a_domain_in_other_letters_travels_in_ascii(smtp: FakeSmtp) -> None:
    assert mail.send(options(smtp), letter(email="anna@bäckerei.test")).state == "sent"
    assert smtp.letters[0].recipient == "anna@xn--bckerei-5wa.test"


@pytest.mark.parametrize(
    ("trouble", "state"),
    [("closing", "away"), ("picky", "away"), ("refuse", "refused"), ("later", "later"), ("cut", "away"),
     ("full", "refused"), ("cut after", "unknown")],
)  # fmt: skip
def test_what_goes_wrong_is_told_apart(smtp: FakeSmtp, trouble: Trouble, state: str) -> None:
    smtp.trouble = trouble
    handed = mail.send(options(smtp), letter())
    assert handed.state == state
    assert handed.sentence.endswith((".", "maintenance", "user", "greylisted", "send", "big"))
    assert len(smtp.letters) == (state == "unknown")


def test_a_server_that_is_down_or_silent_is_away(smtp: FakeSmtp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "SECONDS", 0.2)
    smtp.trouble = "hang"
    assert mail.send(options(smtp), letter()) == Handed("away", "The mail server did not answer within 15 seconds.")
    smtp.trouble = ""
    smtp.down()
    assert mail.send(options(smtp), letter()).sentence == "The mail server of SMTP_HOST cannot be reached."
    smtp.up()
    assert mail.send(options(smtp), letter()).state == "sent"


def test_who_may_not_hand_over_sends_nothing(smtp: FakeSmtp) -> None:
    def lost() -> None:
        raise AttemptLost

    with pytest.raises(AttemptLost):
        mail.send(options(smtp), letter(), lost)
    smtp.down()
    assert smtp.letters == []


# Encryption and sign-in -------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Of this machine; trusted as long as SSL_CERT_FILE names it."""
    key, file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", key, "-out", file, "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    return context


SIGN_IN = {"smtp_user": "desk", "smtp_password": "hunter2"}


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_way_is_encrypted_before_the_password_is_said(certificate: ssl.SSLContext, security: str) -> None:
    with FakeSmtp(tls=certificate, wrapped=security == "tls", user=("desk", "hunter2")) as server:
        handed = mail.send(options(server, smtp_security=security, **SIGN_IN), letter())
        assert handed == Handed("sent")
        verbs = [line.split()[0].upper() for line in server.said]
        first = ["EHLO", "STARTTLS"] if security == "starttls" else []
        assert verbs == [*first, "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]


def test_a_wrong_password_is_said_without_it(certificate: ssl.SSLContext) -> None:
    with FakeSmtp(tls=certificate, user=("desk", "other")) as server:
        handed = mail.send(options(server, smtp_security="starttls", **SIGN_IN), letter())
        assert handed == Handed("away", "The mail server does not accept SMTP_USER and SMTP_PASSWORD.")


@pytest.mark.parametrize(
    "wrong", [{"smtp_password": SecretStr("hunter2é")}, {"smtp_from": "dé@example.test"}, {"smtp_host": "a..test"}]
)
def test_a_setting_that_cannot_be_sent_is_a_failed_hand_over(
    certificate: ssl.SSLContext, wrong: dict[str, Any]
) -> None:
    with FakeSmtp(tls=certificate, user=("desk", "hunter2")) as server:
        unchecked = options(server, smtp_security="starttls", **SIGN_IN).model_copy(update=wrong)
        handed = mail.send(unchecked, letter())
        assert handed.state == "away"
        assert next(iter(wrong)).upper() in handed.sentence
        assert "hunter2" not in handed.sentence
        assert server.letters == []


def test_nothing_is_said_in_the_clear_or_to_somebody_else(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeSmtp(user=("desk", "hunter2")) as plain:
        handed = mail.send(options(plain, smtp_security="starttls", **SIGN_IN), letter())
        assert handed.sentence == "The mail server does not offer what SMTP_SECURITY or SMTP_USER need."
        assert [line.split()[0] for line in plain.said] == ["ehlo"]
    monkeypatch.delenv("SSL_CERT_FILE")
    with FakeSmtp(tls=certificate, user=("desk", "hunter2")) as unknown:
        handed = mail.send(options(unknown, smtp_security="starttls", **SIGN_IN), letter())
        assert "encryption to the mail server failed" in handed.sentence
        assert not any("AUTH" in line for line in unknown.said)


# Links ------------------------------------------------------------------------------------------------------


def test_a_link_is_mailed_at_once(smtp: FakeSmtp) -> None:
    assert mail.mail_link("anna@example.test", "Your invitation", "Open https://desk/…\n", options(smtp)) is True
    assert smtp.letters[0].text == "Open https://desk/…\n"
    assert isinstance(UUID(smtp.letters[0].message["Message-ID"].strip("<>").split("@")[0]), UUID)


def test_a_link_that_is_not_mailed_says_why(smtp: FakeSmtp) -> None:
    assert mail.mail_link("anna@example.test", "s", "t", kill.options()) is False
    smtp.trouble = "refuse"
    with pytest.raises(InvalidInput, match="no such user") as caught:
        mail.mail_link("anna@example.test", "s", "t", options(smtp))
    assert caught.value.field == "email"
    smtp.trouble = "closing"
    with pytest.raises(Unavailable, match="maintenance"):
        mail.mail_link("anna@example.test", "s", "t", options(smtp))
