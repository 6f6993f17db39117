"""Accounts at vendors, a store's own or the company's: typed, tested before saving, never shown again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import streamlit as st

from services import connections, credentials
from services.config import settings
from services.connections import Found, Provider
from services.credentials import Credential, Uses
from services.profiles import Store
from ui import formats, forms, session
from ui.session import Operator

VENDORS: Mapping[Provider, tuple[str, str | None, str]] = {
    # name, what the address field says (None: the vendor has one address), where its key is found
    "elevenlabs": ("ElevenLabs", None, "elevenlabs.io → Developers → API Keys; it needs Text to Speech and History"),
    "gemini": ("Gemini", None, "aistudio.google.com → Get API key"),
    "postiz": ("Postiz", "https://api.postiz.com or your own server", "Postiz → Settings → Developers → Public API"),
}
USES: Mapping[Uses, str] = {"own": "Its own account", "company": "The company's account", "none": "None"}


def of_company(operator: Operator) -> None:
    """An admin's page over all stores."""
    saved = {item.provider: item for item in credentials.of_company(operator.database, operator.account_id)}
    for provider in VENDORS:
        _section(operator, None, provider, saved.get(provider))


def of_store(operator: Operator, store: Store) -> None:
    """Which account the store uses at each vendor; admins type its own, managers test it again."""
    saved = {item.provider: item for item in credentials.of_store(operator.database, store.id)}
    companys = {item.provider: item for item in credentials.of_company(operator.database, operator.account_id)}
    uses = credentials.choices(operator.database, store.id)
    for provider in VENDORS:
        with st.container(border=True):
            st.subheader(VENDORS[provider][0])
            if operator.role == "admin":
                _choice(operator, store, provider, uses.get(provider, "none"))
            else:
                st.write(f"Uses: {USES[uses.get(provider, 'none')].lower()}.")
            if uses.get(provider) == "company":
                _state(operator, store, companys.get(provider))
            if uses.get(provider) == "own" or provider in saved:
                _account(operator, store, provider, saved.get(provider))


def _section(operator: Operator, store: Store | None, provider: Provider, saved: Credential | None) -> None:
    with st.container(border=True):
        st.subheader(VENDORS[provider][0])
        _account(operator, store, provider, saved)


def _choice(operator: Operator, store: Store, provider: Provider, present: Uses) -> None:
    chosen = st.radio(
        "Account", list(USES), index=list(USES).index(present), format_func=USES.__getitem__, horizontal=True,
        key=f"uses_{provider}_{store.id}", label_visibility="collapsed",
    )  # fmt: skip
    if chosen != present:
        seen = credentials.chosen(operator.database, store.id).get(provider)
        run = lambda: credentials.choose(  # noqa: E731
            operator.database, store.id, provider, chosen, seen.version if seen else 0
        )
        _change(operator, f"uses_{provider}", run, "Saved.")
    forms.beside(f"uses_{provider}.")


def _account(operator: Operator, store: Store | None, provider: Provider, saved: Credential | None) -> None:
    _state(operator, store, saved)
    if saved and st.button("Test the saved key", key=_key("retest", provider, store), icon=":material/network_check:"):
        run = lambda: credentials.retest(operator.database, saved.id)  # noqa: E731
        _change(operator, f"retest_{provider}", run, "The worker tests it; look again in a moment.")
    forms.beside(f"retest_{provider}.")
    if operator.role == "admin":
        with st.expander("Replace the key" if saved else "Type the key", expanded=saved is None and store is not None):
            _form(operator, store, provider, saved)


def _state(operator: Operator, store: Store | None, saved: Credential | None) -> None:
    """What is saved, and how its last test ended."""
    if saved is None:
        st.caption("No key is saved yet.")
        return
    where = f" at {formats.plain(saved.shown_address)}" if saved.shown_address else ""
    st.write(f"Key ••••{formats.plain(saved.last4)}{where}{'' if saved.enabled else ' · switched off'}")
    if saved.tested_at is None:
        st.caption("Never tested.")
        return
    zone = store.timezone if store else operator.timezone
    told = f"{formats.plain(saved.test_message or '')} Tested {formats.moment(saved.tested_at, zone)}."
    if saved.test_ok:
        st.success(told, icon=":material/check_circle:")
    else:
        st.error(told, icon=":material/error:")


@dataclass(frozen=True)
class Typed:
    """What an admin has typed and not saved yet."""

    address: str
    key: str
    enabled: bool
    shared: bool

    @property
    def account(self) -> int:
        """Tells one typed account from another, without keeping the key anywhere."""
        return hash((self.address, self.key))


def _form(operator: Operator, store: Store | None, provider: Provider, saved: Credential | None) -> None:
    form = f"account_{provider}"
    with st.form(_key("form", provider, store), border=False):  # its fields count even while the cursor is in them
        typed = _fields(store, provider, saved)
        left, right = st.columns(2)
        test = left.form_submit_button("Test connection", key=_key("test", provider, store))
        save = right.form_submit_button("Save", key=_key("save", provider, store), type="primary")
        forms.beside(f"{form}.")
    if test:
        forms.attempt(form, lambda: _test(provider, store, typed))
        st.rerun()
    found = _found(provider, store, typed)
    if save:
        if forms.attempt(form, lambda: _save(operator, store, provider, saved, typed, found)):
            _done(operator, "Saved.")
            for field in ("key", "address", "found"):
                st.session_state.pop(_key(field, provider, store), None)
        st.rerun()
    if found:
        (st.success if found.ok else st.error)(formats.plain(found.message))
    if saved:
        _remove(operator, store, provider, saved)


def _fields(store: Store | None, provider: Provider, saved: Credential | None) -> Typed:
    _, address_hint, key_hint = VENDORS[provider]
    form, address = f"account_{provider}", ""
    if address_hint:
        address = st.text_input(
            "Address", key=_key("address", provider, store), placeholder=address_hint,
            help="Leave it empty to keep the saved one." if saved else None,
        )  # fmt: skip
        forms.beside(f"{form}.address")
    key = st.text_input(
        "Key", type="password", key=_key("key", provider, store), autocomplete="off", help=f"Where it is: {key_hint}.",
        placeholder="Leave it empty to keep the saved key" if saved else "",
    )  # fmt: skip
    forms.beside(f"{form}.key")
    enabled = st.toggle("Switched on", value=saved.enabled if saved else True, key=_key("enabled", provider, store))
    shared = store is None and st.toggle(
        "Stores that chose nothing use it", value=saved.shared if saved else True, key=_key("shared", provider, store)
    )
    return Typed(address.strip(), key.strip(), enabled, bool(shared))


def _test(provider: Provider, store: Store | None, typed: Typed) -> None:
    """What is typed, from this process: nothing is stored."""
    options = settings()
    address = connections.clean_address(provider, typed.address, options) if VENDORS[provider][1] else None
    key = connections.clean_key(provider, typed.key)
    with st.spinner("Asking the vendor…"):
        found = connections.test(provider, address, key, options)
    st.session_state[_key("found", provider, store)] = typed.account, found


def _found(provider: Provider, store: Store | None, typed: Typed) -> Found | None:
    """The last test's result, while what is typed is still what was tested."""
    known: tuple[int, Found] | None = st.session_state.get(_key("found", provider, store))
    return known[1] if known and known[0] == typed.account else None


def _save(
    operator: Operator,
    store: Store | None,
    provider: Provider,
    saved: Credential | None,
    typed: Typed,
    found: Found | None,
) -> None:
    """An address that the test found beside what was typed is the one that is kept."""
    options = settings()
    kept = saved is not None and not typed.key
    address: str | None = None
    if VENDORS[provider][1] and (typed.address or not kept):
        told: Any = found.facts.get("address") if found and found.ok else None
        address = str(told) if told else connections.clean_address(provider, typed.address, options)
    credentials.save(
        operator.database,
        options,
        operator.account_id,
        store.id if store else None,
        provider,
        address=address,
        key=None if kept else connections.clean_key(provider, typed.key),
        enabled=typed.enabled,
        shared=typed.shared,
        version=saved.version if saved else 0,
        found=found,
    )


def _remove(operator: Operator, store: Store | None, provider: Provider, saved: Credential) -> None:
    sure = st.checkbox("Remove this key for good", key=_key("sure", provider, store))
    if st.button("Remove", key=_key("remove", provider, store), disabled=not sure, icon=":material/delete:"):
        run = lambda: credentials.remove(operator.database, saved.id, saved.version)  # noqa: E731
        _change(operator, f"account_{provider}", run, "The key is gone.")


def _change(operator: Operator, form: str, run: Callable[[], object], told: str) -> None:
    """Run a click's change, and the page again: its error then stands beside what was clicked."""
    if forms.attempt(form, run):
        _done(operator, told)
    st.rerun()


def _done(operator: Operator, told: str) -> None:
    session.forget_numbers(operator)
    st.toast(told, icon=":material/check:")


def _key(name: str, provider: Provider, store: Store | None) -> str:
    scope: UUID | str = store.id if store else "company"
    return f"account_{name}_{provider}_{scope}"
