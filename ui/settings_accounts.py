"""Accounts at vendors, a store's own or the company's: typed, tested before saving, never shown again."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import streamlit as st

from services import connections, credentials
from services.config import settings
from services.connections import Found, Provider
from services.credentials import Choice, Credential, Uses
from services.profiles import Store
from ui import formats, forms, sections
from ui.session import Operator

VENDORS: Mapping[Provider, tuple[str, str | None, str]] = {
    # name, what the address field says (None: the vendor has one address), where its key is found
    "elevenlabs": ("ElevenLabs", None, "elevenlabs.io → Developers → API Keys; it needs Text to Speech and History"),
    "gemini": ("Gemini", None, "aistudio.google.com → Get API key"),
    "postiz": ("Postiz", "https://api.postiz.com or your own server", "Postiz → Settings → Developers → Public API"),
}
MANY = 3  # tests in a row that could not tell: from then on it is said how many
USES: Mapping[Uses, str] = {"own": "Its own account", "company": "The company's account", "none": "None"}


def of_company(operator: Operator) -> None:
    """An admin's page over all stores."""
    saved = {item.provider: item for item in credentials.of_company(operator.database, operator.account_id)}
    for provider in VENDORS:
        with st.container(border=True):
            st.subheader(VENDORS[provider][0])
            _account(operator, None, provider, saved.get(provider))


def of_store(operator: Operator, store: Store) -> None:
    """Which account the store uses at each vendor; admins type its own, managers test it again."""
    saved = {item.provider: item for item in credentials.of_store(operator.database, store.id)}
    companys = {item.provider: item for item in credentials.of_company(operator.database, operator.account_id)}
    uses = credentials.choices(operator.database, store.id)
    chosen = credentials.chosen(operator.database, store.id)
    for provider in VENDORS:
        with st.container(border=True):
            st.subheader(VENDORS[provider][0])
            present = uses.get(provider, "none")
            if operator.role == "admin":
                _choice(operator, store, provider, present, chosen.get(provider))
            else:
                st.write(f"Uses: {USES[present].lower()}.")
            if present == "company":
                _state(operator, store, companys.get(provider))
            if present == "own" or provider in saved:
                _account(operator, store, provider, saved.get(provider))


def _choice(operator: Operator, store: Store, provider: Provider, present: Uses, chosen: Choice | None) -> None:
    form = f"uses_{provider}_{store.id}"
    version = sections.seen(form, "uses", chosen.version if chosen else 0)
    with st.form(form, border=False):
        wanted = st.radio(
            "Account", list(USES), index=list(USES).index(present), format_func=USES.__getitem__, horizontal=True,
            key=sections.key(form, "uses"), label_visibility="collapsed",
        )  # fmt: skip
        forms.beside(f"{form}.")
        sent = st.form_submit_button("Use this account", key=f"{form}_send")
    if sent:
        if sections.save(
            operator, form, lambda: credentials.choose(operator.database, store.id, provider, wanted, version)
        ):
            st.toast("Saved.", icon=":material/check:")
        st.rerun()


def _account(operator: Operator, store: Store | None, provider: Provider, saved: Credential | None) -> None:
    _state(operator, store, saved)
    if saved and saved.practice:
        return
    form = _form_of(operator, store, provider)
    if saved and st.button("Test the saved key", key=f"retest_{form}", icon=":material/network_check:"):
        if forms.attempt(f"retest_{form}", lambda: credentials.retest(operator.database, saved.id)):
            st.toast("The worker tests it; look again in a moment.", icon=":material/check:")
        st.rerun()
    forms.beside(f"retest_{form}.")
    if operator.role == "admin":
        with st.expander("Replace the key" if saved else "Type the key", expanded=saved is None and store is not None):
            _form(operator, store, provider, saved)


def _form_of(operator: Operator, store: Store | None, provider: Provider) -> str:
    """Names the fields of one account: nothing typed for one company or store ever stands in another's."""
    scope: UUID = store.id if store else operator.account_id
    return f"account_{provider}_{scope}"


def _state(operator: Operator, store: Store | None, saved: Credential | None) -> None:
    """What is saved, and how its last test ended."""
    if saved is None:
        st.caption("No key is saved yet.")
        return
    if saved.practice:
        st.info("Practice account: nobody is billed, nothing leaves this machine.", icon=":material/school:")
        return
    where = f" at {formats.plain(saved.shown_address)}" if saved.shown_address else ""
    whose = " · from the server's own settings" if saved.from_environment else ""
    st.write(f"Key ••••{formats.plain(saved.last4)}{where}{whose}{'' if saved.enabled else ' · switched off'}")
    if saved.tested_at is None:
        st.caption("Never tested.")
        return
    zone = store.timezone if store else operator.timezone
    told = f"{formats.plain(saved.test_message or '')} Tested {formats.moment(saved.tested_at, zone)}."
    if saved.passing_tests:
        st.warning(f"{told} {_since(saved)}", icon=":material/cloud_off:")
    elif saved.test_ok:
        st.success(told, icon=":material/check_circle:")
    else:
        st.error(told, icon=":material/error:")


def _since(saved: Credential) -> str:
    """What is known of a key after tests that could not tell."""
    known = {True: "It worked in the last test that could tell.", False: "It failed the last test that could tell."}
    sentence = known.get(saved.test_ok, "Whether it works is not known yet.")
    if saved.passing_tests < MANY:
        return f"This says nothing about the key. {sentence}"
    return f"None of the last {saved.passing_tests} tests could tell whether the key works. {sentence}"


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
    form = _form_of(operator, store, provider)
    version = sections.seen(form, "key", saved.version if saved else 0)
    with st.form(form, border=False):  # its fields count even while the cursor is in them
        typed = _fields(form, store, provider, saved)
        left, right = st.columns(2)
        test = left.form_submit_button("Test connection", key=f"test_{form}")
        save = right.form_submit_button("Save", key=f"save_{form}", type="primary")
        forms.beside(f"{form}.")
    if test or st.session_state.pop(f"again_{form}", False):
        forms.attempt(form, lambda: _test(form, provider, typed))
        st.rerun()
    found = _found(form, typed)
    if save:
        if sections.save(operator, form, lambda: _save(operator, store, provider, saved, typed, version, found)):
            st.session_state.pop(f"found_{form}", None)
            st.toast("Saved.", icon=":material/check:")
        st.rerun()
    if found:
        (st.success if found.ok else st.error)(formats.plain(found.message))
        _other_address(form, found)
    if saved:
        _remove(operator, form, saved, version)


def _fields(form: str, store: Store | None, provider: Provider, saved: Credential | None) -> Typed:
    _, address_hint, key_hint = VENDORS[provider]
    address = ""
    if address_hint:
        address = st.text_input(
            "Address", key=sections.key(form, "address"), placeholder=address_hint,
            help="Leave it empty to keep the saved one." if saved else None,
        )  # fmt: skip
        forms.beside(f"{form}.address")
    key = st.text_input(
        "Key", type="password", key=sections.key(form, "key"), autocomplete="off", help=f"Where it is: {key_hint}.",
        placeholder="Leave it empty to keep the saved key" if saved else "",
    )  # fmt: skip
    forms.beside(f"{form}.key")
    enabled = st.toggle("Switched on", value=saved.enabled if saved else True, key=sections.key(form, "enabled"))
    shared = store is None and st.toggle(
        "Stores that chose nothing use it", value=saved.shared if saved else True, key=sections.key(form, "shared")
    )
    return Typed(address.strip(), key.strip(), enabled, bool(shared))


def _test(form: str, provider: Provider, typed: Typed) -> None:
    """What is typed, from this process: nothing is stored."""
    options = settings()
    address = connections.clean_address(provider, typed.address, options) if VENDORS[provider][1] else None
    key = connections.clean_key(provider, typed.key)
    with st.spinner("Asking the vendor…"):
        found = connections.test(provider, address, key, options)
    st.session_state[f"found_{form}"] = typed.account, found


def _found(form: str, typed: Typed) -> Found | None:
    """The last test's result, while what is typed is still what was tested."""
    known: tuple[int, Found] | None = st.session_state.get(f"found_{form}")
    return known[1] if known and known[0] == typed.account else None


def _other_address(form: str, found: Found) -> None:
    """Where the test found the API beside the address that was typed."""
    right = found.facts.get("address")
    if right and not found.ok:
        st.button(
            "Use that address", key=f"right_{form}", icon=":material/move_down:", on_click=_type_address,
            args=(form, right),
        )  # fmt: skip


def _type_address(form: str, address: str) -> None:
    """Put it into the field, and have it tested with the key that was typed."""
    st.session_state[sections.key(form, "address")] = address
    st.session_state[f"again_{form}"] = True


def _save(
    operator: Operator,
    store: Store | None,
    provider: Provider,
    saved: Credential | None,
    typed: Typed,
    version: int,
    found: Found | None,
) -> None:
    options = settings()
    kept = saved is not None and not typed.key
    address: str | None = None
    if VENDORS[provider][1] and (typed.address or not kept):
        address = connections.clean_address(provider, typed.address, options)
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
        version=version,
        found=found,
    )


def _remove(operator: Operator, form: str, saved: Credential, version: int) -> None:
    sure = st.checkbox("Remove this key for good", key=sections.key(form, "sure"))
    if st.button("Remove", key=f"remove_{form}", disabled=not sure, icon=":material/delete:"):
        if sections.save(operator, form, lambda: credentials.remove(operator.database, saved.id, version)):
            st.toast("The key is gone.", icon=":material/check:")
        st.rerun()
