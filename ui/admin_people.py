"""For admins: who works for the company, how they are let in, changed, stopped and let go."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from services import identity, people
from services.errors import AppError
from services.identity import Role
from services.people import Link, Member, Outcome
from services.profiles import Store
from ui import formats, forms, invitation_links, sections, session
from ui.invitation_links import Handed
from ui.session import Operator

ROLES: dict[Role, str] = {
    "manager": "Manager: speaks and publishes for chosen stores",
    "finance": "Finance: reads costs of all stores",
    "admin": "Admin: everything",
}
SHOWN = 20  # people a page
NAMED = 3  # stores named in a line
HANDED, OPENED = "people_handed", "person_opened"  # what the one open dialog is about


def show(operator: Operator) -> None:
    stores = session.stores(operator)
    members = people.of_company(operator.database, operator.account_id)
    if handed := st.session_state.get(HANDED):
        _links(handed)
    elif opened := st.session_state.get(OPENED):
        _person(opened, stores)
    _form(operator, stores)
    _list(operator, members, stores)


# Letting somebody in ----------------------------------------------------------------------------------------------


def _form(operator: Operator, stores: Sequence[Store]) -> None:
    st.header("Invite a person")
    names, form = _labels(stores), sections.of(operator, "person")
    with st.form(form, border=True):
        with st.container(key="person_name"):
            name = st.text_input("Name", key=sections.key(form, "name"))
            forms.beside(f"{form}.name")
        with st.container(key="person_email"):
            email = st.text_input("E-mail", key=sections.key(form, "email"))
            forms.beside(f"{form}.email")
        role = st.radio("Role", list(ROLES), format_func=_role_words, key=sections.key(form, "role"))
        forms.beside(f"{form}.role")
        with st.container(key="person_stores"):
            chosen = st.multiselect(
                "Stores (managers only)", list(names), format_func=names.__getitem__, key=sections.key(form, "stores")
            )
            forms.beside(f"{form}.stores")
        reason = st.text_input("Reason (may be left out)", key=sections.key(form, "reason"))
        forms.beside(f"{form}.reason")
        sent = st.form_submit_button(
            "Send invitation" if identity.by_mail() else "Make invitation link", type="primary"
        )
        forms.beside(f"{form}.")
    if sent:
        sections.save(operator, form, lambda: _invite(operator, name, email, role, chosen, reason))
        st.rerun()


def _invite(operator: Operator, name: str, email: str, role: Role, stores: Sequence[str], reason: str) -> None:
    run = partial(
        people.invite, operator.person, operator.account_id, name=name, email=email, role=role,
        profile_ids=[UUID(store) for store in stores] if role == "manager" else [], reason=reason,
    )  # fmt: skip
    _tell(operator, run, name.strip(), email.strip())


def _shelf() -> list[Handed]:
    """Where links lie until they were noted. Asked for before a link is made: a click meanwhile ends that run at its
    next word to Streamlit, and a link made by then must be here already."""
    shelf: list[Handed] = st.session_state.setdefault(HANDED, [])
    return shelf


def _tell(operator: Operator, run: Callable[[], Outcome], name: str, email: str) -> None:
    """A link is shown until it was noted; a mail is said."""
    shelf = _shelf()
    made = run()
    if made.link:
        handed = invitation_links.handed(operator, made.link, name, email)
        shelf.append(handed)
        shelf[-1] = replace(handed, mailed=_mailed(operator, made.link, handed))
    elif made.mailed:
        st.toast(formats.plain(f"The mail to {email} is on its way; see Jobs."), icon=":material/outgoing_mail:")
    else:
        st.toast(formats.plain(f"{name} has a password already and can sign in."), icon=":material/check:")


def _mailed(operator: Operator, link: Link, handed: Handed) -> str:
    if operator.membership.is_demo:  # from there nothing leaves this machine
        return ""
    try:
        sent = people.mail(operator.person, operator.membership.account_name, handed.email, link, handed.address)
    except AppError as exc:
        return f"It could not be mailed: {exc}"
    return f"It was mailed to {handed.email} as well." if sent else ""


def _forget_links() -> None:
    st.session_state.pop(HANDED, None)


@st.dialog("To hand over", width="medium", on_dismiss=_forget_links)
def _links(handed: Sequence[Handed]) -> None:
    """Shown until noted or dismissed: a click elsewhere must not take them away."""
    st.write("Whoever follows a link chooses the password, once. Nobody can read it again later.")
    if len(handed) > 1:
        _file(handed)
    for one in handed[:SHOWN]:
        st.text(f"{one.name}, {one.email}: until {one.until}")
        st.code(one.address, language=None, wrap_lines=True)
        if one.mailed:
            st.text(one.mailed)
    if st.button("I have noted it", key="links_noted", type="primary"):
        _forget_links()
        st.rerun()


def _file(handed: Sequence[Handed]) -> None:
    st.download_button(
        f"Download all {len(handed)} as CSV", invitation_links.as_csv(handed), "links.csv", "text/csv",
        key="links_file", on_click="ignore", icon=":material/download:",
    )  # fmt: skip


# The list ---------------------------------------------------------------------------------------------------------


def _list(operator: Operator, members: Sequence[Member], stores: Sequence[Store]) -> None:
    st.header("People")
    labels = _labels(stores)
    words = (
        st.text_input(
            "Search people", key=sections.of(operator, "people_search"), placeholder="Name, e-mail, role or store"
        )
        .lower()
        .split()
    )
    found = [m for m in members if all(word in _searched(m, labels) for word in words)]
    _renew_all(operator, members)
    for member in _page(operator, found):
        _line(operator, member, labels)
    if not found:
        st.info("Nobody matches. Search for a part of a name or address.", icon=":material/person_search:")


def _searched(member: Member, labels: Mapping[str, str]) -> str:
    return " ".join([member.name, member.email, member.role, *_stores_of(member, labels)]).lower()


def _page(operator: Operator, members: Sequence[Member]) -> Sequence[Member]:
    pages = -(-len(members) // SHOWN)
    if pages <= 1:
        return members
    at = st.pagination(pages, key=sections.of(operator, "people_page"))
    return members[(at - 1) * SHOWN : at * SHOWN]


def _line(operator: Operator, member: Member, labels: Mapping[str, str]) -> None:
    who, place, state, button = st.columns([4, 4, 4, 2], vertical_alignment="center")
    who.text(f"{member.name}\n{member.email}")
    place.text(_place(member, labels))
    state.text(_state(operator, member))
    if not member.mail and button.button(
        "Edit", key=f"edit_{member.id}", help=f"Edit {member.name}", icon=":material/edit:"
    ):
        st.session_state[OPENED] = member
        st.rerun()


def _place(member: Member, labels: Mapping[str, str]) -> str:
    names = _stores_of(member, labels)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return "\n".join(filter(None, [member.role.capitalize(), ", ".join(names[:NAMED]) + more]))


def _state(operator: Operator, member: Member) -> str:
    if member.deactivated_at:
        return f"Deactivated {formats.moment(member.deactivated_at, operator.timezone)}"
    if member.state == "invited" and member.invited_until:
        return f"Invited until {formats.moment(member.invited_until, operator.timezone)}"
    if member.state == "active" and member.signed_in_at:
        return f"Active\nSigned in {formats.moment(member.signed_in_at, operator.timezone)}"
    return {
        "expired": "Invited; needs a new link",
        "mailing": "Invitation on its way",
        "unsent": "The invitation could not be mailed; see Jobs",
    }.get(member.state, "Active\nNot signed in yet")


def _role_words(role: Role) -> str:
    return ROLES[role]


def _labels(stores: Sequence[Store]) -> dict[str, str]:
    return {str(store.id): store.label for store in stores}


def _stores_of(member: Member, labels: Mapping[str, str]) -> list[str]:
    """Archived ones are left out."""
    return sorted(labels[str(store)] for store in member.profile_ids if str(store) in labels)


def _renew_all(operator: Operator, members: Sequence[Member]) -> None:
    """Links for many at once: of who needs one and, ticked, of who was invited and may have none, as after an import
    whose file of links was lost."""
    waiting = [m for m in members if m.state == "expired"]
    invited = [m for m in members if m.state == "invited"]
    if identity.by_mail() or len(waiting) + len(invited) < 2:
        return
    if invited and st.checkbox(
        f"New links also for {len(invited)} invited people: the links they may have end",
        key=sections.of(operator, f"people_invited_{len(invited)}"),
    ):  # fmt: skip
        waiting += invited
    label = f"Make links for {len(waiting)} people who need one"
    if waiting and st.button(label, key="people_links", icon=":material/link:"):
        if forms.attempt("links", lambda: _hand_over(operator, waiting)):
            session.forget_numbers(operator)
        st.rerun()
    forms.beside("links.")


def _hand_over(operator: Operator, waiting: Sequence[Member]) -> None:
    """Each link is shown although a later one fails: it ended the one before it."""
    shelf = _shelf()
    for member in waiting:
        made = people.renew_invitation(operator.person, operator.account_id, member.id)
        if made.link:
            shelf.append(invitation_links.handed(operator, made.link, member.name, member.email))


# One person -------------------------------------------------------------------------------------------------------


def _close() -> None:
    st.session_state.pop(OPENED, None)
    st.session_state.pop("form_error", None)


@st.dialog("Edit a person", width="medium", on_dismiss=_close)
def _person(member: Member, stores: Sequence[Store]) -> None:
    """As they were when the dialog was opened: a change made meanwhile by somebody else is told when saving."""
    operator = session.require("admin")
    st.text(f"{member.name}, {member.email}")
    st.caption(formats.plain(_state(operator, member).replace("\n", " · ")))
    if member.id == operator.person.id:
        st.info("Nobody changes their own role or access. Another admin of the company can.", icon=":material/lock:")
        return
    _role(operator, member, stores)
    _access(operator, member)
    _end(operator, member)
    forms.beside("member.", "member.role")


def _role(operator: Operator, member: Member, stores: Sequence[Store]) -> None:
    labels = _labels(stores)
    with st.form(f"member_{member.id}", border=False):
        role = st.radio(
            "Role", list(ROLES), index=list(ROLES).index(member.role), format_func=_role_words,
            key=f"role_{member.id}_{member.version}",
        )  # fmt: skip
        chosen = st.multiselect(
            "Stores (managers only)", list(labels), [str(s) for s in member.profile_ids if str(s) in labels],
            format_func=labels.__getitem__, key=f"stores_{member.id}_{member.version}",
        )  # fmt: skip
        below_stores = st.container()
        reason = st.text_input("Reason for the change", key=f"role_reason_{member.id}_{member.version}")
        below_reason = st.container()
        sent = st.form_submit_button("Save role and stores", type="primary")
    if sent:
        _do(operator, member, "Saved.", lambda: people.change(
            operator.database, operator.account_id, member.id, role=role,
            profile_ids=[UUID(store) for store in chosen], version=member.version, reason=reason,
        ), stores=below_stores, reason=below_reason)  # fmt: skip


def _access(operator: Operator, member: Member) -> None:
    """Links, and the end of sessions."""
    if member.deactivated_at:
        return
    with st.container(horizontal=True):
        if member.awaited and st.button("New invitation link", key="member_renew", icon=":material/link:"):
            _do(operator, member, None, lambda: _send(operator, member, people.renew_invitation))
        if not member.awaited and st.button("Reset password", key="member_reset", icon=":material/lock_reset:"):
            _do(operator, member, None, lambda: _send(operator, member, people.reset_password))
        if not member.awaited and st.button("Sign out everywhere", key="member_out", icon=":material/logout:"):
            run = partial(people.sign_out, operator.database, operator.account_id, member.id)
            _do(operator, member, "Signed out everywhere.", run)


def _send(operator: Operator, member: Member, send: Callable[..., Outcome]) -> None:
    run = partial(send, operator.person, operator.account_id, member.id)
    _tell(operator, run, member.name, member.email)


def _end(operator: Operator, member: Member) -> None:
    """Confirmed by a tick, but for bringing back; each says what it does."""
    st.divider()
    if member.awaited:
        st.caption("Withdrawn, the invitation's link leads nowhere, and the person leaves this list.")
    else:
        st.caption(
            "Deactivated, a person can do nothing here until reactivated. Removed, they leave this list too, and a new "
            "invitation would let them in again. What they did stays under their name either way."
        )
    reason = st.text_input(_reason_to_end(member), key=f"end_reason_{member.id}_{member.version}")
    end = partial(_change, operator, member, reason, st.container())
    sure = st.checkbox("I am sure", key=f"sure_{member.id}_{member.version}")
    with st.container(horizontal=True):
        if member.deactivated_at and st.button("Reactivate", key="member_reactivate", icon=":material/play_arrow:"):
            end("Reactivated.", people.reactivate)
        if not member.deactivated_at and not member.awaited and st.button(
            "Deactivate", key="member_deactivate", disabled=not sure, icon=":material/block:"
        ):  # fmt: skip
            end("Deactivated.", people.deactivate)
        label = "Withdraw invitation" if member.awaited else "Remove from company"
        if st.button(label, key="member_remove", disabled=not sure, icon=":material/person_remove:"):
            end("Withdrawn." if member.awaited else "Removed.", people.remove)


def _reason_to_end(member: Member) -> str:
    if member.awaited and not member.deactivated_at:
        return "Reason to withdraw the invitation"
    return f"Reason to {'reactivate' if member.deactivated_at else 'deactivate'} or remove"


def _change(
    operator: Operator,
    member: Member,
    reason: str,
    below_reason: DeltaGenerator,
    said: str,
    change: Callable[..., None],
) -> None:
    run = partial(change, operator.database, operator.account_id, member.id, member.version, reason)
    _do(operator, member, said, run, reason=below_reason)


def _do(
    operator: Operator, member: Member, said: str | None, run: Callable[[], object], **below: DeltaGenerator
) -> None:
    """The dialog closes when it went well; else it stays, and says why below the field, or at its end."""
    if forms.attempt("member", run):
        session.forget_numbers(operator)
        _close()
        if said:
            st.toast(formats.plain(f"{member.name}: {said}"), icon=":material/check:")
        st.rerun()
    for field, place in below.items():
        with place:
            forms.beside(f"member.{field}")
