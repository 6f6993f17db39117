"""A mail server on 127.0.0.1 that speaks SMTP and can be down, slow, picky, or break off in the middle."""

import contextlib
import socket
import socketserver
import ssl
import threading
import time
from base64 import b64decode
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Any, Literal, Self

# refuse: 550 for the recipient; later: 451; picky: 550 for the sender; cut at DATA; cut after the text, kept or not.
Trouble = Literal["", "hang", "closing", "refuse", "later", "picky", "cut", "cut after", "full"]
STEPS = ("MAIL", "RCPT", "DATA")


@dataclass
class Letter:
    """An e-mail that the server took."""

    sender: str
    recipient: str
    content: bytes

    @property
    def message(self) -> EmailMessage:
        found = message_from_bytes(self.content, policy=default)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def text(self) -> str:
        return str(self.message.get_content()).replace("\r\n", "\n")


@dataclass
class FakeSmtp:
    """Runs while the `with` block does; `trouble` may be changed at any time. With `user` it wants a sign-in."""

    trouble: Trouble = ""
    user: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None  # offered by STARTTLS
    wrapped: bool = False  # TLS from the first byte instead
    letters: list[Letter] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0  # until each e-mail is taken
    port: int = 0

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def down(self) -> None:
        """Nobody answers at the port any more, until `up`."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def up(self) -> None:
        self._start()

    def _start(self) -> None:
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", self.port), _Conversation, self, self._closing)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def settings(self, **values: Any) -> dict[str, Any]:
        """What reaches this server, as settings."""
        return {
            "smtp_host": "127.0.0.1", "smtp_port": self.port, "smtp_security": "none",
            "smtp_from": "Clipdesk <desk@example.test>", **values,
        }  # fmt: skip


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: Any, fake: FakeSmtp, closing: threading.Event) -> None:
        super().__init__(address, handler)
        self.fake = fake
        self.closing = closing

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go in the middle are no news here."""


class _Conversation(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.fake = self.server.fake
        self.signed_in = self.fake.user is None
        if self.fake.trouble == "hang":
            self.server.closing.wait(60)
            return
        if self.fake.wrapped:
            self._encrypt()
        if self.fake.trouble == "closing":
            self._say("421 maintenance")
            return
        self._say("220 fake ESMTP")
        while (line := self.rfile.readline()) and self._answer(line.decode("utf-8", "replace").strip()):
            pass

    def _say(self, *lines: str) -> None:
        with contextlib.suppress(OSError):
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def _answer(self, line: str) -> bool:
        """Returns whether the conversation goes on."""
        self.fake.said.append(line)
        verb = line.split(" ", 1)[0].upper()
        if verb in STEPS and not self.signed_in:
            self._say("530 sign in first")
            return True
        return getattr(self, f"_{verb.lower()}", self._unknown)(line) is not False

    def _unknown(self, line: str) -> None:
        self._say("502 no such command")

    def _ehlo(self, line: str) -> None:
        offers = ["250-fake"] + (["250-STARTTLS"] if self.fake.tls and not self.fake.wrapped else [])
        self._say(*offers, *(["250-AUTH PLAIN"] if self.fake.user else []), "250 8BITMIME")

    def _starttls(self, line: str) -> None:
        self._say("220 go ahead")
        self._encrypt()

    def _encrypt(self) -> None:
        assert self.fake.tls is not None
        self.connection = self.fake.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def _auth(self, line: str) -> None:
        _, user, password = b64decode(line.split()[2]).decode().split("\0")
        self.signed_in = (user, password) == self.fake.user
        self._say("235 welcome" if self.signed_in else "535 wrong name or password")

    def _mail(self, line: str) -> None:
        self.sender = _address(line)
        self._say("550 you may not send" if self.fake.trouble == "picky" else "250 ok")

    def _rcpt(self, line: str) -> None:
        self.recipient = _address(line)
        self._say({"refuse": "550 no such user", "later": "451 greylisted"}.get(self.fake.trouble, "250 ok"))

    def _data(self, line: str) -> bool:
        if self.fake.trouble == "cut":
            return False
        self._say("354 go ahead")
        content = self._read_content()
        if self.fake.trouble == "full":
            self._say("552 too big")
            return True
        if content is None:
            return False
        time.sleep(self.fake.seconds)
        self.fake.letters.append(Letter(self.sender, self.recipient, content))
        if self.fake.trouble == "cut after":
            return False
        self._say("250 taken")
        return True

    def _read_content(self) -> bytes | None:
        """The text without its end; None when the client went before it."""
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line.endswith(b"\r\n"):
                return None
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def _quit(self, line: str) -> bool:
        self._say("221 bye")
        return False

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]
