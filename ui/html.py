"""The few pages outside Streamlit: sign-in, first start, password, demo. Plain HTML, no script, light and dark."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from starlette.responses import HTMLResponse

from services.identity import timezones

STYLE = """
:root { color-scheme: light dark; --ink: #16242c; --paper: #f4f7f7; --card: #ffffff; --line: #c4d0d2;
  --accent: #0f6b6f; --on-accent: #ffffff; --bad: #a3222b; --soft: #52636b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eef0; --paper: #10181c; --card: #18242a; --line: #3a4c54;
  --accent: #4cc2bf; --on-accent: #06201f; --bad: #ff9a9a; --soft: #a3b4ba; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 30rem; }
.brand { font-weight: 700; letter-spacing: .01em; color: var(--accent); margin: 0 0 .75rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.5rem;
  margin-bottom: 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .25rem; } h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
p { margin: 0 0 1rem; } .soft { color: var(--soft); font-size: .92rem; }
label { display: block; font-weight: 600; font-size: .92rem; margin-bottom: .8rem; }
input, select { display: block; width: 100%; margin-top: .25rem; padding: .55rem .65rem; color: inherit;
  font: 400 1rem system-ui, sans-serif; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; }
input:focus, select:focus, button:focus-visible, a:focus-visible { outline: 3px solid var(--accent);
  outline-offset: 1px; }
[aria-invalid=true] { border-color: var(--bad); }
.error { color: var(--bad); font-weight: 600; font-size: .92rem; margin: 0; }
span.error { display: block; margin: -.5rem 0 .8rem; }
button { font: inherit; font-weight: 600; padding: .6rem 1.1rem; border-radius: 8px; border: 1px solid var(--accent);
  background: var(--accent); color: var(--on-accent); cursor: pointer; }
button.quiet { background: transparent; color: var(--accent); }
a { color: var(--accent); } p.after { margin: 1rem 0 0; }
.row { display: grid; grid-template-columns: 1fr 1fr; gap: 0 .9rem; align-items: end; }
ul.people { list-style: none; margin: 0; padding: 0; } ul.people li { display: flex; gap: .75rem; align-items: center;
  justify-content: space-between; padding: .45rem 0; border-top: 1px solid var(--line); }
progress { width: 100%; accent-color: var(--accent); }
@media (max-width: 30rem) { .row { grid-template-columns: 1fr; } }
"""


# An own picture, so that the browser does not ask for one that the gate keeps back.
ICON = (
    "<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='4' fill='%2312857f'/%3E%3C/svg%3E\">"
)


def page(title: str, body: str, *, status: int = 200, refresh_seconds: int | None = None) -> HTMLResponse:
    refresh = f'<meta http-equiv="refresh" content="{refresh_seconds}">' if refresh_seconds else ""
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)} · Clipdesk</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}{ICON}'
        f"<style>{STYLE}</style></head>"
        f'<body><main><p class="brand">Clipdesk</p>{body}</main></body></html>',
        status,
        {"cache-control": "no-store"},
    )


def unavailable() -> HTMLResponse:
    body = (
        '<div class="card"><h1>Temporarily unavailable</h1><p role="alert">The database does not answer right '
        "now. Nothing was lost; this page tries again by itself.</p></div>"
    )
    return page("Temporarily unavailable", body, status=503, refresh_seconds=5)


def failed(error: str) -> HTMLResponse:
    body = f'<div class="card"><h1>That did not work</h1><p class="error" role="alert">{escape(error)}</p></div>'
    return page("That did not work", body, status=500)


def sign_in(
    next_page: str,
    *,
    email: str = "",
    error: str = "",
    offer_demo: bool = False,
    offer_start: bool = False,
    offer_reset: bool = False,
) -> HTMLResponse:
    fields = _field("E-mail", "email", kind="email", value=email, autocomplete="username")
    fields += _field("Password", "password", kind="password", error=error, autocomplete="current-password")
    form = _form("/sign-in", fields, "Sign in", {"next": next_page})
    offers = (START_OFFER if offer_start else "") + (DEMO_OFFER if offer_demo else "")
    body = f'<div class="card"><h1>Sign in</h1>{form}{RESET_OFFER if offer_reset else ""}</div>{offers}'
    return page("Sign in", body, status=401 if error else 200)


RESET_OFFER = '<p class="soft after"><a href="/forgot">Forgot your password?</a></p>'
START_OFFER = '<p class="soft">New here? <a href="/start">Create your company</a></p>'
DEMO_OFFER = (
    '<div class="card"><h2>Just looking?</h2><p class="soft">The demo company has three stores, eight people and '
    "seven months of made-up work. Nobody is billed, nothing leaves this machine.</p>"
    '<form method="post" action="/start/demo"><button class="quiet">Explore the demo company</button></form></div>'
)


def password(error: str = "", field: str = "password", *, forced: bool) -> HTMLResponse:
    """`forced`: the one chosen with a link was not saved; there is no other yet that could be asked for."""
    why = (
        "The one you chose was not saved: it is too easy to guess, or the sign-in service did not answer."
        if forced
        else "Your other sessions will be signed out."
    )
    errors = {field: error}
    fields = "" if forced else _field(
        "Present password", "present", kind="password", error=errors.get("present", ""),
        autocomplete="current-password",
    )  # fmt: skip
    fields += _field(
        "New password", "password", kind="password", error=errors.get("password", ""), autocomplete="new-password",
        hint="10 characters or more",
    )  # fmt: skip
    body = (
        f'<div class="card"><h1>Choose a new password</h1><p class="soft">{why}</p>'
        f"{_form('/password', fields, 'Save password')}</div>"
    )
    return page("Choose a new password", body, status=422 if error else 200)


def forgot(email: str = "", error: str = "") -> HTMLResponse:
    field = _field("E-mail", "email", kind="email", value=email, error=error, autocomplete="username")
    body = (
        '<div class="card"><h1>Forgot your password?</h1><p class="soft">We send a link to your address. With it you '
        f"choose a new password.</p>{_form('/forgot', field, 'Send the link')}{BACK}</div>"
    )
    return page("Forgot your password?", body, status=422 if error else 200)


BACK = '<p class="soft after"><a href="/sign-in">Back to sign-in</a></p>'


def link_sent(email: str) -> HTMLResponse:
    """The same whether the address is known or not."""
    body = (
        f'<div class="card"><h1>Look into your mail</h1><p role="status">If {escape(email)} belongs to an account '
        "here, a link is on its way. It may take some minutes; look among the unwanted mail too.</p>"
        f"{BACK}</div>"
    )
    return page("Look into your mail", body)


def welcome(token_hash: str, kind: str, error: str = "") -> HTMLResponse:
    """Who follows a link chooses a password. The link is used up by the form, not by looking at the page."""
    title = "Welcome to Clipdesk" if kind == "invite" else "Choose a new password"
    field = _field(
        "New password", "password", kind="password", error=error, autocomplete="new-password",
        hint="10 characters or more",
    )  # fmt: skip
    form = _form("/welcome", field, "Save and sign in", {"token_hash": token_hash, "type": kind})
    body = f'<div class="card"><h1>{title}</h1><p class="soft">Choose a password to sign in with.</p>{form}</div>'
    return page(title, body, status=422 if error else 200)


def link_failed(error: str, *, offer_reset: bool) -> HTMLResponse:
    body = (
        f'<div class="card"><h1>This link does not work</h1><p class="error" role="alert">{escape(error)}</p>'
        f"{RESET_OFFER if offer_reset else ''}{BACK}</div>"
    )
    return page("This link does not work", body, status=422)


def first_start(
    values: Mapping[str, str], errors: Mapping[str, str], *, ask_code: bool, offer_demo: bool
) -> HTMLResponse:
    """The first-admin form. What was typed stays, passwords aside; errors stand beside their fields."""

    def field(label: str, name: str, **extra: Any) -> str:
        return _field(label, name, value=values.get(name, ""), error=errors.get(name, ""), **extra)

    fields = field("Company", "company", autocomplete="organization")
    fields += '<div class="row">' + field("First store", "store") + field("Store number", "code", hint="such as 001")
    fields += field("City", "city", required=False) + _timezones(values, errors) + "</div>"
    fields += field("Your name", "name", autocomplete="name")
    fields += field("Your e-mail", "email", kind="email", autocomplete="username")
    fields += _field(
        "Password", "password", kind="password", error=errors.get("password", ""), autocomplete="new-password",
        hint="10 characters or more",
    )  # fmt: skip
    if ask_code:
        fields += field("Set-up code", "setup_code", hint="printed in the server's log", autocomplete="off")
    alert = f'<p class="error" role="alert">{escape(errors[""])}</p>' if errors.get("") else ""
    body = (
        '<div class="card"><h1>Create your company</h1><p class="soft">You become its first admin. Everything can be '
        f"changed later.</p>{alert}{_form('/start/company', fields, 'Create company')}</div>"
        + (DEMO_OFFER if offer_demo else "")
    )
    return page("Create your company", body, status=422 if errors else 200)


def _timezones(values: Mapping[str, str], errors: Mapping[str, str]) -> str:
    chosen = values.get("timezone") or "UTC"
    options = "".join(
        f"<option{' selected' if name == chosen else ''}>{escape(name)}</option>" for name in sorted(timezones())
    )
    error = _error("timezone", errors.get("timezone", ""))
    return f'<label>Time zone<select name="timezone">{options}</select></label>{error}'


def demo(people: Sequence[Mapping[str, Any]], *, offer_start: bool) -> HTMLResponse:
    """Enter the demo company as one of its people."""
    rows = "".join(
        f'<li><span>{escape(p["name"])}<br><span class="soft">{escape(p["role"].capitalize())}'
        f"{' · ' + escape(p['stores']) if p['stores'] and p['role'] == 'manager' else ''}</span></span>"
        f'<form method="post" action="/demo/enter"><input type="hidden" name="person" value="{p["id"]}">'
        f'<button class="quiet">See it as {escape(p["name"].split()[0])}</button></form></li>'
        for p in people
    )
    body = (
        '<div class="card"><h1>The demo company is ready</h1><p class="soft">Practice: nobody is billed, nothing '
        f'leaves this machine. Whose desk do you want to see?</p><ul class="people">{rows}</ul></div>'
    )
    return page("Demo company", body + (START_OFFER if offer_start else ""))


def demo_progress(share: float, message: str) -> HTMLResponse:
    body = (
        '<div class="card"><h1>Preparing the demo company</h1><p class="soft" role="status">'
        f'{escape(message)}</p><progress max="1" value="{share}" aria-label="Progress"></progress></div>'
    )
    return page("Preparing the demo company", body, refresh_seconds=1)


def demo_failed(error: str) -> HTMLResponse:
    body = (
        '<div class="card"><h1>The demo company could not be made</h1>'
        f'<p class="error" role="alert">{escape(error)}</p></div>'
    )
    return page("Demo company", body + DEMO_OFFER, status=500)


def _form(action: str, fields: str, button: str, hidden: Mapping[str, str] | None = None) -> str:
    kept = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in (hidden or {}).items()
    )
    return f'<form method="post" action="{action}">{kept}{fields}<button>{escape(button)}</button></form>'


def _field(
    label: str, name: str, *, kind: str = "text", value: str = "", error: str = "", hint: str = "",
    autocomplete: str = "", required: bool = True,
) -> str:  # fmt: skip
    attributes = [f'name="{name}"', f'type="{kind}"', f'value="{escape(value)}"']
    attributes += [f'autocomplete="{autocomplete}"'] if autocomplete else []
    attributes += ["required"] if required else []
    attributes += [f'aria-invalid="true" aria-describedby="{name}-error" autofocus'] if error else []
    note = f' <span class="soft">({escape(hint)})</span>' if hint else ""
    return f"<label>{escape(label)}{note}<input {' '.join(attributes)}></label>{_error(name, error)}"


def _error(name: str, error: str) -> str:
    return f'<span class="error" role="alert" id="{name}-error">{escape(error)}</span>' if error else ""
