"""People of a company, for its admins: invited, given roles and stores, stopped, let go."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter

from services import identity
from services.accounts.door import Invited
from services.database.door import Database
from services.errors import InvalidInput
from services.identity import Person, Role
from services.jobs import queue
from services.notices.mail import mail_link

State = Literal["active", "invited", "expired", "mailing", "unsent", "deactivated"]
Kind = Literal["invite", "recovery"]


class Member(BaseModel):
    """Somebody of a company, as its admins see them."""

    model_config = ConfigDict(frozen=True)

    id: UUID  # the person's; the job's while `mail` is set
    name: str
    email: str
    role: Role
    profile_ids: tuple[UUID, ...]  # a manager's stores
    version: int  # what a change passes: somebody else may have changed them since
    signed_in_at: datetime | None = None  # None: not since sign-ins are counted
    deactivated_at: datetime | None = None
    invited_until: datetime | None = None  # when the newest link runs out, while it was not followed
    mail: str | None = None  # status of the job that mails the invitation, until it has

    @property
    def state(self) -> State:
        """`expired`: invited, and in need of a new link; `unsent`: the mail could not be sent."""
        if self.mail:
            return "unsent" if self.mail == "failed" else "mailing"
        if self.deactivated_at:
            return "deactivated"
        if self.invited_until:
            return "invited" if self.invited_until > datetime.now(UTC) else "expired"
        return "active"

    @property
    def awaited(self) -> bool:
        """Whether they were invited and have not chosen a password yet."""
        return self.invited_until is not None


class Link(BaseModel):
    """What lets somebody choose a password. Whoever holds the path can use it, once."""

    model_config = ConfigDict(frozen=True)

    path: SecretStr  # begins with /; stands behind the app's own address
    kind: Kind
    expires_at: datetime


class Outcome(BaseModel):
    """What became of an invitation or a reset: a link to hand over, a mail, or (neither) nothing was needed."""

    model_config = ConfigDict(frozen=True)

    link: Link | None = None
    mailed: bool = False


_MEMBERS = TypeAdapter(tuple[Member, ...])


def of_company(database: Database, account_id: UUID) -> tuple[Member, ...]:
    """Everybody of the company by name, invitations on their way included. Raises `NotAllowed` but for its admins."""
    return _MEMBERS.validate_python(database.call("people_of", p_account_id=account_id))


# Links ------------------------------------------------------------------------------------------------------------


def invite(
    admin: Person,
    account_id: UUID,
    *,
    name: str,
    email: str,
    role: Role,
    profile_ids: Sequence[UUID],
    reason: str = "",
) -> Outcome:
    """Let somebody into the company. They need no link when they can sign in already, for another company.

    A `reason` (at most 500 characters) is kept in the log. Raises `InvalidInput` naming the field, `NotAllowed`,
    `Conflict` when the address belongs to the company already.
    """
    check(name, email, role, profile_ids)
    values = {
        "name": name.strip(),
        "email": email.strip(),
        "role": role,
        "profile_ids": list(profile_ids),
        "reason": reason,
    }
    return _outcome(identity.accounts().invite(admin, account_id, values), "invite")


def check(name: str, email: str, role: str, profile_ids: Sequence[object]) -> None:
    """Raises `InvalidInput` beside `name`, `email`, `role` or `stores`."""
    identity.check_name(name, "name", "The person needs")
    identity.check_email(email)
    if role not in get_args(Role):
        raise InvalidInput("Choose a role: admin, manager or finance.", "role")
    if role == "manager" and not profile_ids:
        raise InvalidInput("A manager works in at least one store.", "stores")


def renew_invitation(admin: Person, account_id: UUID, person_id: UUID) -> Outcome:
    """A new link in place of the one before it. Raises `Conflict` when the person has accepted."""
    return _outcome(identity.accounts().send_link(admin, account_id, person_id, "invite"), "invite")


def reset_password(admin: Person, account_id: UUID, person_id: UUID) -> Outcome:
    """A link with which the person chooses a new password; the present one stays until then.

    A link to hand over is refused (`NotAllowed`) for who works for another company too: it would open that as well.
    """
    return _outcome(identity.accounts().send_link(admin, account_id, person_id, "recovery"), "recovery")


def _outcome(made: Invited, kind: Kind) -> Outcome:
    if made.mailed:
        queue.wake()
    if made.token is None or made.expires_at is None:
        return Outcome(mailed=made.mailed)
    path = SecretStr(f"/welcome?token_hash={made.token.get_secret_value()}&type={kind}")
    return Outcome(link=Link(path=path, kind=kind, expires_at=made.expires_at))


WORDS: dict[Kind, tuple[str, str]] = {
    # subject, and what stands above the link
    "invite": ("Your invitation to Clipdesk", "{admin} invites you to work for {company}. Choose a password here:"),
    "recovery": ("Your new password for Clipdesk", "{admin} of {company} lets you choose a new password here:"),
}


def mail(admin: Person, company: str, email: str, link: Link, address: str) -> bool:
    """Mail a link, whose whole `address` is given, to whom it is for. False: no mail server is set.

    Raises `InvalidInput` or `Unavailable` where the mail could not be sent: then the link is there to be handed over.
    """
    subject, above = WORDS[link.kind]
    until = f"It works once, until {link.expires_at:%-d %b %Y, %H:%M} UTC. Pass it on to nobody."
    text = f"{above.format(admin=admin.name, company=company)}\n\n{address}\n\n{until}\n"
    return mail_link(email, subject, text)


# Changes. Each needs a `reason` of 1 to 500 characters for the log (`InvalidInput`, field `reason`); raises `Conflict`
# when somebody else changed the person meanwhile, and `NotAllowed` but for admins -------------------------------------


def change(
    database: Database,
    account_id: UUID,
    person_id: UUID,
    *,
    role: Role,
    profile_ids: Sequence[UUID],
    version: int,
    reason: str,
) -> None:
    """Give somebody a role and, as a manager, stores. Nobody changes their own."""
    stores = list(profile_ids) if role == "manager" else []
    if role == "manager" and not stores:
        raise InvalidInput("A manager works in at least one store.", "stores")
    database.call(
        "set_member", p_account_id=account_id, p_person_id=person_id, p_role=role, p_profile_ids=stores,
        p_version=version, p_reason=reason,
    )  # fmt: skip


def deactivate(database: Database, account_id: UUID, person_id: UUID, version: int, reason: str) -> None:
    """Stop somebody in this company, at once. Raises `Conflict` for its last active admin."""
    _call(database, "deactivate_member", account_id, person_id, version, reason)


def reactivate(database: Database, account_id: UUID, person_id: UUID, version: int, reason: str) -> None:
    """Undo `deactivate`: role, stores and password are as before."""
    _call(database, "reactivate_member", account_id, person_id, version, reason)


def remove(database: Database, account_id: UUID, person_id: UUID, version: int, reason: str) -> None:
    """Let somebody go, or withdraw their invitation. What they did stays under their name.

    Raises `Conflict` for the company's last active admin.
    """
    _call(database, "remove_member", account_id, person_id, version, reason)


def _call(database: Database, function: str, account_id: UUID, person_id: UUID, version: int, reason: str) -> None:
    database.call(function, p_account_id=account_id, p_person_id=person_id, p_version=version, p_reason=reason)
    identity.sessions.forget(person_id)


def sign_out(database: Database, account_id: UUID, person_id: UUID) -> int:
    """End all sessions of somebody; returns how many there were."""
    ended = int(database.call("sign_out_member", p_account_id=account_id, p_person_id=person_id))
    identity.sessions.forget(person_id)
    return ended
