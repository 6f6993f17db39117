"""E-mails over SMTP: what they look like, and the handing over to the mail server."""

import re
import smtplib
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Literal, NamedTuple
from uuid import UUID, uuid4

from services.config import Settings, settings
from services.errors import InvalidInput, Unavailable

SECONDS = 15.0  # that a step of the conversation with the mail server may take
PORTS = {"starttls": 587, "tls": 465, "none": 25}
CLOSING = 421  # the server's word for "I go now", at any step
TROUBLE = (OSError, smtplib.SMTPException, ValueError)  # a setting outside ASCII, or a host that is no name: ValueError

# sent; later: not taken, this one may be tried again; away: the same for every e-mail; refused: never will be;
# unknown: nobody can tell whether it was taken.
State = Literal["sent", "later", "away", "refused", "unknown"]


class Handed(NamedTuple):
    """What became of an e-mail; the sentence tells an operator why it was not sent."""

    state: State
    sentence: str = ""


class Mail(NamedTuple):
    """A plain text to one person. `id` makes its Message-ID."""

    email: str
    subject: str
    text: str
    id: UUID


def mail_link(email: str, subject: str, text: str, options: Settings | None = None) -> bool:
    """Send a mail at once that holds a link nobody else may see, so it is kept nowhere.

    False: no mail server is set. Raises `InvalidInput` (field "email") for an address that the server does not take,
    `Unavailable` for everything else that went wrong.
    """
    options = options or settings()
    if options.smtp_host is None:
        return False
    handed = send(options, Mail(email, subject, text, uuid4()))
    if handed.state == "refused":
        raise InvalidInput(handed.sentence, field="email")
    if handed.state != "sent":
        raise Unavailable(handed.sentence)
    return True


def send(options: Settings, mail: Mail, hand_over: Callable[[], None] = lambda: None) -> Handed:
    """Offer a mail to the mail server of the settings. Raises what `hand_over` raises, and then nothing was sent.

    `hand_over` is called when the server is ready for the text: from there on nobody can be sure that it is not sent.
    """
    address = ascii_address(mail.email)
    if address is None:
        return Handed("refused", "This is no address to which an e-mail can be sent.")
    try:
        server = _connect(options)
    except TROUBLE as exc:
        return _away(exc)
    try:
        return _say(server, _sender(options), address, _lines(_message(options, mail, address)), hand_over)
    finally:
        with suppress(OSError):
            server.close()


def ascii_address(email: str) -> str | None:
    """The address as every mail server understands it; None if it is none, or needs letters that few understand."""
    name, _, domain = email.strip().rpartition("@")
    try:
        address = f"{name}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return None
    good = address.isascii() and re.fullmatch(r"[^@\s,;:<>()\[\]\"\\]+@[A-Za-z0-9.-]+", address)
    return address if good and address.isprintable() else None


def _sender(options: Settings) -> str:
    return parseaddr(options.smtp_from or "")[1]


def _message(options: Settings, mail: Mail, address: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = options.smtp_from
    message["To"] = address
    message["Subject"] = " ".join(mail.subject.split())[:200]
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{mail.id}@{_domain(options)}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text, cte="quoted-printable")  # passes servers that take ASCII only
    return message


def _domain(options: Settings) -> str:
    return _sender(options).rpartition("@")[2]


def _lines(message: EmailMessage) -> bytes:
    """The text as it travels: a line that begins with a dot gets another, a lone dot ends the whole."""
    return re.sub(rb"(?m)^\.", b"..", message.as_bytes()) + b".\r\n"


def _connect(options: Settings) -> smtplib.SMTP:
    host, port = str(options.smtp_host), options.smtp_port or PORTS[options.smtp_security]
    name = _domain(options)  # else the library looks up this machine's, which can take long
    server: smtplib.SMTP
    if options.smtp_security == "tls":
        server = smtplib.SMTP_SSL(host, port, name, timeout=SECONDS, context=ssl.create_default_context())
    else:
        server = smtplib.SMTP(host, port, name, timeout=SECONDS)
    try:
        _greet(server, options)
    except BaseException:
        server.close()
        raise
    return server


def _greet(server: smtplib.SMTP, options: Settings) -> None:
    if options.smtp_security == "starttls":
        server.starttls(context=ssl.create_default_context())
    server.ehlo_or_helo_if_needed()
    if options.smtp_user and options.smtp_password:
        server.login(options.smtp_user, options.smtp_password.get_secret_value())


def _say(server: smtplib.SMTP, sender: str, address: str, lines: bytes, hand_over: Callable[[], None]) -> Handed:
    try:
        refusal = _offer(server, sender, address)
    except TROUBLE as exc:
        return _away(exc)
    if refusal:
        return refusal
    hand_over()
    try:
        server.send(lines)
        code, reply = server.getreply()
    except (OSError, smtplib.SMTPException):
        return Handed("unknown", "The mail server broke off before it said whether it took the e-mail.")
    with suppress(OSError, smtplib.SMTPException):
        server.quit()
    return Handed("sent") if code == 250 else _refused(code, reply)


def _offer(server: smtplib.SMTP, sender: str, address: str) -> Handed | None:
    """Say who writes to whom; None when the server is ready for the text."""
    code, reply = server.mail(sender)
    if code != 250:  # the sender is the same for every e-mail
        return Handed("away", f"The mail server does not take e-mails from {sender}: {_told(code, reply)}")
    code, reply = server.rcpt(address)
    if code not in (250, 251):
        return _refused(code, reply)
    code, reply = server.docmd("DATA")
    return None if code == 354 else _refused(code, reply)


def _refused(code: int, reply: bytes) -> Handed:
    if code == CLOSING:
        return Handed("away", f"The mail server closed: {_told(code, reply)}")
    if 500 <= code < 600:
        return Handed("refused", f"The mail server refused it for good: {_told(code, reply)}")
    return Handed("later", f"The mail server does not take it now: {_told(code, reply)}")


def _told(code: int, reply: bytes) -> str:
    text = " ".join(reply.decode("utf-8", "replace").split())
    return f"{code} {''.join(letter for letter in text if letter.isprintable())[:200]}"


def _away(error: Exception) -> Handed:
    cause = error.__context__ if isinstance(error, smtplib.SMTPServerDisconnected) else None
    if isinstance(error, smtplib.SMTPResponseException) and not isinstance(error, smtplib.SMTPAuthenticationError):
        reply = error.smtp_error
        said = _told(error.smtp_code, reply.encode() if isinstance(reply, str) else reply)
        return Handed("away", f"The mail server said {said}")
    return Handed("away", next(sentence for kind, sentence in REASONS if isinstance(cause or error, kind)))


REASONS: tuple[tuple[type[Exception], str], ...] = (  # the first that fits
    (smtplib.SMTPAuthenticationError, "The mail server does not accept SMTP_USER and SMTP_PASSWORD."),
    (smtplib.SMTPNotSupportedError, "The mail server does not offer what SMTP_SECURITY or SMTP_USER need."),
    (ssl.SSLError, "The encryption to the mail server failed: SMTP_SECURITY, or its certificate."),
    (TimeoutError, f"The mail server did not answer within {SECONDS:.0f} seconds."),
    (smtplib.SMTPServerDisconnected, "The mail server broke off."),
    (ValueError, "SMTP_HOST, SMTP_USER, SMTP_PASSWORD or SMTP_FROM cannot be sent to a mail server."),
    (Exception, "The mail server of SMTP_HOST cannot be reached."),
)
