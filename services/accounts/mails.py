"""Jobs of the worker that have Supabase Auth send a mail: invitations, and links for a forgotten password."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict

from services import identity
from services.accounts.vendor import Vendor
from services.errors import Conflict, TooManyTries, Unavailable
from services.jobs.context import Context, Outcome


class _Addressee(BaseModel):
    model_config = ConfigDict(extra="ignore")

    email: str
    name: str = ""


def invite(context: Context) -> None:
    """Have the invitation mailed once, then let the person in."""
    wanted = _Addressee.model_validate(context.job.input)
    context.finish("save_invited", p_person_id=context.step("invited", lambda: _invited(wanted))["person_id"])


def _invited(wanted: _Addressee) -> Outcome:
    with _service() as service:
        try:
            return {"person_id": service.invite(wanted.email, wanted.name)}
        except Conflict:  # signed up by themselves, or mailed by an attempt that ended before it could say so
            return {"person_id": service.id_of(wanted.email)}


def reset(context: Context) -> None:
    """Mail a link with which a new password is set."""
    with _service() as service:
        service.mail_reset(_Addressee.model_validate(context.job.input).email)


@contextmanager
def _service() -> Iterator[Vendor]:
    """Too many requests are a reason to try again later, not to give up."""
    try:
        yield identity.cloud_accounts().service
    except TooManyTries as exc:
        raise Unavailable("The sign-in service asks for fewer requests. It is tried again.") from exc
