"""Every function and table that people may touch, tried as everybody, with ids of their own and of others.

The lists come from pg_catalog: a new function that ARGUMENTS does not cover, or a new right to write, fails here.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from services.database import embedded, postgres
from services.database.door import Database
from services.errors import AppError
from tests.builders import World, fresh_world, speech
from tests.costs.till import Till, item

Row = dict[str, Any]
Calls = list[dict[str, Any]]
NOBODY = {"account_id", "user_id", "created_by", "person_id", "changed_by", "granted_by", "asked_by", "scope_id"}
GUARDED = ("accounts", "people", "members", "profiles", "profile_members", "prices", "quota_grants", "quota_changes")
GUARDED += ("withdrawn_prices", "voice_services", "voices", "voice_rates", "model_pauses")
GUARDED += ("alert_rules", "suspension_settings")


# The town: two companies, and a demo ------------------------------------------------------------------------


@dataclass
class Place:
    """A store with one of everything, and the words by which its rows are known."""

    name: str
    account: UUID
    store: UUID
    manager: UUID
    secrets: set[str] = field(default_factory=set)
    things: dict[str, UUID] = field(default_factory=dict)

    @property
    def mark(self) -> str:
        return f"mark-{self.name}"


@dataclass
class Town:
    world: World
    places: dict[str, Place]
    people: dict[str, UUID]
    secrets: dict[str, set[str]]  # by what must be allowed to see them

    def door(self, persona: str) -> Database:
        if persona == "anonymous":
            return self.world.doors.anonymous()
        if persona == "no claims":
            return postgres.Postgres(pool=self.world.doors.app_pool, role="authenticated")
        return self.world.as_person(self.people[persona])


# What each persona may see: a store's rows, a company's (members, prices), its limits, its log.
SEES = {
    "manager": {"own", "company"},
    "finance": {"own", "beside", "company", "limits"},
    "admin": {"own", "beside", "company", "limits", "log"},
    "foreign manager": {"foreign", "foreign company"},
    "foreign admin": {"foreign", "foreign company", "foreign limits", "foreign log"},
    "deactivated admin": set(),
    "stranger": set(),
    "anonymous": set(),
    "no claims": set(),
}
HOME = {"foreign manager": "foreign", "foreign admin": "foreign"}  # the store others call their own is "own"


@pytest.fixture(scope="module")
def town(server: embedded.Server, template: str) -> Iterator[Town]:
    with fresh_world(server, template, connections=3) as world:
        yield build(world)


def build(world: World) -> Town:
    bakery, rival, demo = Till.opened(world), Till.opened(world), Till.opened(world)
    world.execute("update public.accounts set is_demo = true where id = %s", demo.account)
    places = {
        "own": furnish(bakery, "own"),
        "beside": furnish(bakery.beside(), "beside"),
        "foreign": furnish(rival, "foreign"),
        "demo": furnish(demo, "demo"),
    }
    people = {
        "manager": places["own"].manager,
        "finance": world.person(bakery.account, "finance", name="mark-company finance"),
        "admin": world.person(bakery.account, "admin", name="mark-company admin"),
        "foreign manager": places["foreign"].manager,
        "foreign admin": world.person(rival.account, "admin", name="mark-foreign company admin"),
        "deactivated admin": world.person(bakery.account, "admin"),
        "stranger": world.person(None),
    }
    world.execute("update public.people set deactivated_at = now() where id = %s", people["deactivated admin"])
    secrets = {name: place.secrets for name, place in places.items()}
    for company, admin, prefix in ((bakery, "admin", ""), (rival, "foreign admin", "foreign ")):
        secrets |= {prefix + what: found for what, found in company_secrets(company, people[admin], prefix).items()}
    return Town(world, places, people, secrets)


def furnish(till: Till, name: str) -> Place:
    """Give the store one row in every table, each with the place's mark or an id of its own."""
    world = till.world
    manager = world.person(till.account, "manager", till.store, name="Manager")
    place = Place(name, till.account, till.store, manager)
    world.execute("update public.profiles set name = %s where id = %s", place.mark, till.store)
    project = world.project(till.store, place.mark)
    clip = world.clip(till.store, project, name=place.mark, media_path=f"{place.mark}.mp4")
    for status in ("pending", "completed", "failed"):
        words = speech(f"{place.mark} {status}")
        order = as_ordered(till, manager, words)
        world.execute("update public.jobs set status = %s, worker = %s where id = %s", status, place.mark, order)
        place.things[status] = order
    world.insert("public.job_steps", job_id=order, name=place.mark, outcome={"mark": place.mark})
    world.insert(
        "public.speech_assets", id=uuid4(), account_id=till.account, profile_id=till.store, text=place.mark,
        content_hash=place.mark, provider="practice", model="premium", voice="heart", settings={}, format="mp3",
        characters=9, duration_seconds=1, bytes=1, media_path=f"{place.mark}.mp3", cost_usd=0,
    )  # fmt: skip
    world.execute("update public.jobs set refusal = %s where id = %s", json.dumps({"message": place.mark}), order)
    request, booked = till.hold("2", p_user_id=manager), uuid4()
    till.settle(request, item("1", id=str(booked), preview=place.mark, project_id=str(project)), final=False)
    limits = {"account_id": till.account, "profile_id": till.store, "reason": place.mark}
    world.insert(
        "public.quota_grants", id=uuid4(), amount_usd=5, valid_from="2020-01-01", valid_until="2999-01-01",
        granted_by=manager, **limits,
    )  # fmt: skip
    world.insert("public.quota_changes", id=uuid4(), before_usd=0, after_usd=0, changed_by=manager, **limits)
    world.execute("select private.audit(%s, 'seen', %s, %s)", till.account, place.mark, till.store)
    unclear = bought_maybe(till, place, order)
    world.insert(
        "public.pronunciations", id=uuid4(), account_id=till.account, profile_id=till.store, term=place.mark,
        say=place.mark,
    )  # fmt: skip
    place.things |= {"project": project, "clip": clip, "request": request, "unclear": unclear, "entry": booked}
    place.things |= {"export": export(till, place), "coming price": coming_price(till)}
    alert = uuid4()
    world.insert(
        "public.alert_rules", id=alert, account_id=till.account, scope="store", target_id=till.store, amount_usd=9
    )
    place.secrets.add(str(alert))
    place.things |= {"alert": alert} | notices(till, place) | script(till, place)
    place.secrets |= {place.mark} | ids_of(world, till.store)
    place.things |= {"credential": credential(till, till.store, place.mark)}
    world.insert(
        "public.profile_channels", account_id=till.account, profile_id=till.store, channel=place.mark, name=place.mark,
        credential_id=place.things["credential"], identifier="instagram",
    )  # fmt: skip
    posts = {f"{state} post": post(till, place, state) for state in ("draft", "scheduled", "unconfirmed")}
    found = "select id from public.publications where bundle_id = %s"
    place.things |= posts | {"publication": world.value(found, posts["unconfirmed post"])}
    place.secrets |= {str(posts["scheduled post"]), str(posts["unconfirmed post"])}  # a draft may be deleted meanwhile
    till.world.insert(
        "public.stray_posts", account_id=till.account, profile_id=till.store, channel=place.mark, vendor_state="QUEUE",
        vendor_post=place.mark, preview=place.mark,
    )  # fmt: skip
    return place


def script(till: Till, place: Place) -> dict[str, UUID]:
    """An assistant, its run with a step, and the version that it ended in."""
    assistant, run, version = uuid4(), uuid4(), uuid4()
    whose = {"account_id": till.account, "profile_id": till.store}
    told = writer(place.mark) | {"id": assistant, "external_id": place.mark, "banned_words": "{}"}
    till.world.insert("public.assistants", **told, **whose)
    till.world.insert(
        "public.pipeline_runs", id=run, assistant_id=assistant, assistant={"name": place.mark}, briefing=place.mark,
        briefing_hash=place.mark, status="completed", **whose,
    )  # fmt: skip
    till.world.insert(
        "public.pipeline_steps", id=uuid4(), run_id=run, place=0, phase="prompt_generation", round=0,
        provider="practice", model="practice", input={"prompt": place.mark}, status="completed", **whose,
    )  # fmt: skip
    till.world.insert(
        "public.prompt_versions", id=version, assistant_id=assistant, run_id=run, number=1, content=place.mark,
        content_hash=place.mark, **whose,
    )  # fmt: skip
    spent = f"0.{100_000 + len(till.world.rows('select id from public.pipeline_runs'))}"  # an amount of this run alone
    till.settle(place.things["request"], item(spent, run_id=str(run)), final=False)
    place.secrets.add(spent)
    proposal = uuid4()
    till.world.insert(
        "public.proposals", id=proposal, kind="cover", project_id=place.things["project"], provider="practice",
        wanted={"prompt": place.mark}, model="practice", **whose,
    )  # fmt: skip
    return {"assistant": assistant, "run": run, "version": version, "proposal": proposal}


def post(till: Till, place: Place, state: str) -> UUID:
    """A post on the store's channel, of the store's clip."""
    bundle, whose = uuid4(), {"account_id": till.account, "profile_id": till.store, "clip_id": place.things["clip"]}
    till.world.insert("public.bundles", id=bundle, trouble=place.mark, wanted_at=datetime.now(UTC), **whose)
    till.world.insert(
        "public.publications", id=uuid4(), bundle_id=bundle, channel=place.mark, name=place.mark, state=state,
        identifier="instagram", caption=place.mark, wanted_at=datetime.now(UTC), **whose,
    )  # fmt: skip
    return bundle


def notices(till: Till, place: Place) -> dict[str, UUID]:
    """A notice of the store in its manager's inbox and on its way to them, and what the manager wishes."""
    told = "select private.notice(%s, 'quota', %s, '{}', %s) as id"
    notice = till.world.value(told, till.account, place.mark, till.store)
    wish = {"account_id": till.account, "person_id": place.manager, "kind": "quota"}
    till.world.insert("public.notice_preferences", inbox=True, email=True, **wish)
    found = till.world.rows("select id from private.notice_deliveries where notice_id = %s", notice)
    return {"notice": notice, "delivery": found[0]["id"] if found else uuid4()}  # the demo sends nothing


def credential(till: Till, store: UUID | None, mark: str) -> UUID:
    """A saved key, the host of whose address is `mark`, and the choice of the store to use it."""
    key, saved, whose = uuid4(), uuid4(), {"account_id": till.account, "profile_id": store, "provider": "elevenlabs"}
    till.world.insert("private.sealed_keys", id=key, ciphertext=f"v1.{'0' * 16}.sealed", **whose)
    till.world.insert("public.profile_credentials", id=saved, key_id=key, last4="last", shown_address=mark, **whose)
    if store:
        till.world.insert("public.profile_account_choices", uses="own", **whose)
    return saved


def bought_maybe(till: Till, place: Place, order: UUID) -> UUID:
    """An unclear purchase of the failed job; what it saved is an amount that only its store may see."""
    purchase, saved = uuid4(), f"{10_000 + len(till.world.rows('select id from public.purchases'))}.654321"
    till.world.insert(
        "public.purchases", id=purchase, job_id=order, request_id=order, place=0, provider="practice", model="premium",
        voice=place.mark, part_hash=place.mark, characters=9, units_expected=9, exact=True, state="unclear",
        saved_usd=Decimal(saved), media_path=f"{place.mark}.wav", account_id=till.account, profile_id=till.store,
    )  # fmt: skip
    place.secrets.add(saved)
    return purchase


def export(till: Till, place: Place) -> UUID:
    """A finished file of the store's costs, asked for by its manager."""
    made = till.world.job("export_costs", till.store, status="completed", created_by=place.manager)
    till.world.insert(
        "private.exports", id=made, account_id=till.account, asked_by=place.manager, seq=1,
        profile_ids=f"{{{till.store}}}", wanted={"view": "entries"}, path=f"exports/{place.mark}.csv",
        file_name=f"{place.mark}.csv",
    )  # fmt: skip
    return made


def coming_price(till: Till) -> UUID:
    """A price of a later day, and one that was withdrawn."""
    price = {"account_id": till.account, "provider": "practice", "model": str(uuid4()), "unit_kind": "characters",
             "usd": 1, "per_units": 1000, "valid_from": "2099-01-01T00:00:00Z"}  # fmt: skip
    coming, gone = uuid4(), {"withdrawn_by": uuid4(), "withdrawn_reason": "Wrong", "created_at": "2026-01-01T00:00:00Z"}
    till.world.insert("public.prices", id=coming, **price)
    till.world.insert("public.withdrawn_prices", id=uuid4(), **price, **gone)
    return coming


def as_ordered(till: Till, person: UUID, words: Row) -> UUID:
    order = uuid4()
    till.world.as_person(person).call("enqueue_speech", p_job_id=order, p_profile_id=till.store, p_speech=words)
    return order


def ids_of(world: World, store: UUID) -> set[str]:
    """Every id in the store's rows that belongs to the store alone."""
    found = {str(store)}
    for table in tables_with(world, "profile_id"):
        for row in world.rows(f"select * from public.{table} where profile_id = %s", store):
            found |= {str(value) for name, value in row.items() if isinstance(value, UUID) and name not in NOBODY}
    return found


def company_secrets(till: Till, admin: UUID, prefix: str) -> dict[str, set[str]]:
    """What all members see, what admin and finance see, and what only admins see of a company."""
    world, mark = till.world, f"mark-{prefix}"
    world.execute("update public.accounts set name = %s where id = %s", f"{mark}company", till.account)
    furnish_voices(till, f"{mark}company")
    ids = world.rows(
        "select account_id as id from public.members where account_id = %(account)s union"
        " select person_id from public.members where account_id = %(account)s union"
        " select id from public.prices where account_id = %(account)s union"
        " select id from public.withdrawn_prices where account_id = %(account)s union"
        " select id from public.voice_services where account_id = %(account)s union"
        " select id from public.voices where account_id = %(account)s union"
        " select id from public.model_pauses where account_id = %(account)s".replace("%(account)s", f"'{till.account}'")
    )
    setting = {"p_account_id": till.account, "p_profile_id": None, "p_quota_usd": Decimal(1000)}
    world.as_person(admin).call("set_quota", **setting, p_reason=f"{mark}limits")
    world.execute("select private.audit(%s, 'seen', %s)", till.account, f"{mark}log")
    world.insert("public.money_checks", account_id=till.account, month="2026-01-01", checked_at=datetime.now(UTC),
                 seq=1, differences=1, differing=[{"what": f"{mark}limits", "stored": "1", "ledger": "0"}])  # fmt: skip
    return {
        "company": {str(row["id"]) for row in ids} | {f"{mark}company"},
        "limits": {f"{mark}limits"},
        "log": {f"{mark}log"},
    }


def furnish_voices(till: Till, mark: str) -> None:
    """What the company's own key offers and what its voices were billed."""
    voice = {"account_id": till.account, "provider": "elevenlabs", "voice": mark}
    till.world.insert(
        "public.voice_services", account_id=till.account, provider="elevenlabs", readiness="ready", message=mark
    )
    till.world.insert("public.voices", **voice, place=1, name=mark, language="en", description=mark)
    till.world.insert("public.voice_rates", **voice, model="flash", rate=2)
    till.world.insert("public.model_pauses", id=uuid4(), **voice, model="flash", characters=9, expected=9, billed=18)


def tables_with(world: World, column: str) -> list[str]:
    query = (
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = %s"
        " where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' order by 1"
    )
    return [row["relname"] for row in world.rows(query, column)]


def hidden_from(town: Town, persona: str) -> set[str]:
    """Words that no answer to this persona may hold."""
    visible = set().union(*(town.secrets[name] for name in SEES[persona]))
    return set().union(*town.secrets.values()) - visible


def told(words: set[str], text: str) -> set[str]:
    return {word for word in words if word in text}


# Functions --------------------------------------------------------------------------------------------------


def changed_member(own: Place, aim: Place) -> Calls:
    return [
        {"p_account_id": account, "p_person_id": aim.manager, "p_version": 1, "p_reason": "mine"}
        for account in {own.account, aim.account}
    ]


def writer(name: str) -> Row:
    """An assistant as `save_assistant` takes it."""
    models = dict.fromkeys(("prompt_generation", "prompt_analysis", "prompt_improvement"), "practice")
    return {"name": name, "instructions": name, "language": "en", "banned_words": [], "models": models,
            "target_score": 85, "max_rounds": 1, "max_characters": 500}  # fmt: skip


# Arguments of every function that people may call: from the place they call their own, aimed at another.
ARGUMENTS: dict[str, Callable[[Place, Place], Calls]] = {
    "schema_version": lambda own, aim: [{}],
    "load_session": lambda own, aim: [{"p_secret": str(aim.manager)}],
    "end_session": lambda own, aim: [{"p_secret": str(aim.manager)}],
    "end_my_sessions": lambda own, aim: [{}],
    "open_session": lambda own, aim: [
        {"p_secret": str(aim.manager), "p_renew": True, "p_tokens": "mine", "p_token_seconds": 60, "p_hours": 1,
         "p_agent": "", "p_must_change": False}
    ],
    "claim_refresh": lambda own, aim: [{"p_secret": str(aim.manager), "p_seconds_left": 60}],
    "store_tokens": lambda own, aim: [{"p_secret": str(aim.manager), "p_tokens": "mine", "p_token_seconds": 60}],
    "password_changed": lambda own, aim: [{"p_secret": str(aim.manager)}],
    "request_reset": lambda own, aim: [{"p_email": f"{aim.mark}@example.test"}],
    "people_of": lambda own, aim: [{"p_account_id": aim.account}],
    "costs_desk": lambda own, aim: [
        {"p_account_id": account, "p_profile_id": store, "p_from": "2020-01-01", "p_to": "2030-01-01"}
        for account in {own.account, aim.account} for store in (None, aim.store)
    ],
    "cost_value": lambda own, aim: [
        {"p_account_id": account, "p_profile_id": store, "p_from": "2020-01-01", "p_to": "2030-01-01"}
        for account in {own.account, aim.account} for store in (None, aim.store)
    ],
    "money_trust": lambda own, aim: [{"p_account_id": aim.account}],
    "order_money_check": lambda own, aim: [{"p_job_id": uuid4(), "p_account_id": aim.account}],
    "order_cost_rebuild": lambda own, aim: [{"p_job_id": uuid4(), "p_account_id": aim.account, "p_reason": "mine"}],
    "set_preview_days": lambda own, aim: [{"p_account_id": aim.account, "p_days": 90, "p_reason": "mine"}],
    "cost_entries_page": lambda own, aim: [
        {"p_account_id": account, "p_profile_id": store, "p_from": "2020-01-01", "p_to": "2030-01-01",
         "p_filters": filters}
        for account in {own.account, aim.account} for store in (None, aim.store)
        for filters in ({}, {"user_id": str(aim.manager)})
    ],
    "user_cost_summary": lambda own, aim: [
        {"p_account_id": account, "p_user_id": person}
        for account in {own.account, aim.account} for person in (None, aim.manager)
    ],
    "user_cost_events": lambda own, aim: [
        {"p_account_id": account, "p_user_id": person}
        for account in {own.account, aim.account} for person in (None, aim.manager)
    ],
    "enqueue_export": lambda own, aim: [
        {"p_job_id": uuid4(), "p_account_id": account,
         "p_wanted": {"view": view, "format": "csv", "profile_id": store and str(store), "from_day": "2020-01-01",
                      "to_day": "2030-01-01", "filters": filters}}
        for account in {own.account, aim.account} for store in (None, aim.store)
        for view, filters in (("entries", {}), ("spending", {"user_id": str(aim.manager)}))
    ],
    "export_file": lambda own, aim: [{"p_id": aim.things["export"]}],
    "exports_desk": lambda own, aim: [{"p_account_id": account} for account in {own.account, aim.account}],
    "set_ledger_schedule": lambda own, aim: [
        {"p_account_id": aim.account, "p_period": period, "p_reason": "mine"} for period in ("daily", "off")
    ],
    "add_or_invite": lambda own, aim: [
        {"p_account_id": account, "p_person": {"person_id": str(uuid4()), "token_hash": "0" * 64, "name": "Mine",
                                               "email": "mine@example.test", "role": role, "profile_ids": stores,
                                               "reason": "mine"}}
        for account, role, stores in ((aim.account, "admin", []), (aim.account, "manager", [str(aim.store)]),
                                      (own.account, "manager", [str(aim.store)]))
    ],
    "send_link": lambda own, aim: [
        {"p_account_id": account, "p_person_id": aim.manager, "p_kind": kind, "p_token_hash": "0" * 64}
        for account in {own.account, aim.account} for kind in ("invite", "recovery")
    ],
    "set_member": lambda own, aim: [
        {"p_account_id": account, "p_person_id": aim.manager, "p_role": "admin", "p_profile_ids": [], "p_version": 1,
         "p_reason": "mine"}
        for account in {own.account, aim.account}
    ],
    "deactivate_member": changed_member,
    "reactivate_member": changed_member,
    "remove_member": changed_member,
    "sign_out_member": lambda own, aim: [
        {"p_account_id": account, "p_person_id": aim.manager} for account in {own.account, aim.account}
    ],
    "monthly_cost": lambda own, aim: [{"p_profile_id": aim.store, "p_month": datetime.now(UTC).date()}],
    "profile_dashboard": lambda own, aim: [{"p_profile_id": aim.store, "p_range": r} for r in ("7d", "all", "x")],
    "account_dashboard": lambda own, aim: [{"p_account_id": aim.account, "p_range": r} for r in ("30d", "all")],
    "cost_summary": lambda own, aim: [
        {"p_account_id": account, "p_profile_id": store}
        for account in (own.account, aim.account)
        for store in (None, aim.store)
    ],
    "check_quota": lambda own, aim: [{"p_profile_id": aim.store}],
    "my_stores": lambda own, aim: [{"p_account_id": aim.account}],
    "checklist": lambda own, aim: [{"p_account_id": aim.account}],
    "speech_quote": lambda own, aim: [
        {"p_profile_id": aim.store, "p_speech": speech(f"{aim.mark} {status}")} for status in ("pending", "completed")
    ],
    "enqueue_speech": lambda own, aim: [
        {"p_job_id": uuid4(), "p_profile_id": aim.store, "p_speech": speech("Sold out")},
        {"p_job_id": aim.things["pending"], "p_profile_id": own.store, "p_speech": speech("Sold out")},
        {"p_job_id": aim.things["request"], "p_profile_id": own.store, "p_speech": speech("Sold out today")},
        {"p_job_id": uuid4(), "p_profile_id": own.store, "p_speech": aimed(aim, "project")},
        {"p_job_id": uuid4(), "p_profile_id": own.store, "p_speech": aimed(aim, "clip")},
    ],
    "cancel_job": lambda own, aim: [{"p_job_id": aim.things[status]} for status in ("pending", "failed")],
    "retry_job": lambda own, aim: [{"p_job_id": aim.things[status]} for status in ("failed", "completed")],
    "set_quota": lambda own, aim: [
        {"p_account_id": account, "p_profile_id": store, "p_quota_usd": Decimal(7), "p_reason": "mine"}
        for account in (own.account, aim.account)
        for store in (None, aim.store)
    ],
    "erase_demo": lambda own, aim: [{"p_account_id": aim.account}],
    "refresh_voices": lambda own, aim: [{"p_account_id": aim.account}],
    "set_pronunciation": lambda own, aim: [{"p_profile_id": aim.store, "p_term": aim.mark, "p_say": "mine"}],
    "remove_pronunciation": lambda own, aim: [{"p_profile_id": aim.store, "p_term": aim.mark}],
    "save_voice_defaults": lambda own, aim: [
        {"p_profile_id": aim.store, "p_settings": {"voice": "mine"}, "p_version": 1}
    ],
    "allow_free_over_quota": lambda own, aim: [
        {"p_profile_id": aim.store, "p_allowed": True, "p_reason": "mine", "p_version": 1}
    ],
    "set_price": lambda own, aim: [
        {"p_account_id": aim.account, "p_provider": "practice", "p_model": "premium", "p_unit_kind": "characters",
         "p_usd": Decimal(usd), "p_per_units": 1000, "p_reason": "mine"} for usd in ("0", "7")
    ],
    "confirm_price": lambda own, aim: [
        {"p_account_id": aim.account, "p_provider": "elevenlabs", "p_model": "flash", "p_reason": "mine"}
    ],
    "buy_again": lambda own, aim: [{"p_job_id": aim.things[status]} for status in ("failed", "pending")],
    "decide_purchase": lambda own, aim: [
        {"p_purchase_id": aim.things["unclear"], "p_billed": billed, "p_reason": "mine"} for billed in (True, False)
    ],
    "speech_saved": lambda own, aim: [{"p_profile_id": aim.store}],
    "create_store": lambda own, aim: [
        {"p_account_id": account, "p_store": {"id": str(uuid), "code": "mine", "name": "Mine", "timezone": "UTC"}}
        for account, uuid in ((aim.account, uuid4()), (aim.account, aim.store), (own.account, aim.store))
    ],
    "save_store": lambda own, aim: [{"p_profile_id": aim.store, "p_store": {"name": "Mine"}, "p_version": 1}],
    "suspend_store": lambda own, aim: [
        {"p_profile_id": aim.store, "p_suspended": on, "p_reason": "mine"} for on in (True, False)
    ],
    "store_work": lambda own, aim: [{"p_profile_id": aim.store}],
    "archive_store": lambda own, aim: [{"p_profile_id": aim.store, "p_reason": "mine"}],
    "restore_store": lambda own, aim: [{"p_profile_id": aim.store, "p_reason": "mine"}],
    "copy_preview": lambda own, aim: [
        {"p_profile_id": source, "p_target_ids": [target], "p_parts": ["voice", "free", "words"]}
        for source, target in ((aim.store, own.store), (own.store, aim.store))
    ],
    "copy_settings": lambda own, aim: [
        {"p_profile_id": source, "p_target_ids": [target], "p_parts": ["words"], "p_reason": "mine", "p_mark": "mine"}
        for source, target in ((aim.store, own.store), (own.store, aim.store))
    ],
    "save_company": lambda own, aim: [
        {"p_account_id": aim.account, "p_company": {"name": "Mine", "new_store_quota_usd": "7"}, "p_version": 1,
         "p_reason": "mine"}
    ],
    "set_price_from": lambda own, aim: [
        {"p_account_id": aim.account, "p_provider": "practice", "p_model": "premium", "p_unit_kind": "characters",
         "p_usd": Decimal(7), "p_per_units": 1000, "p_reason": "mine",
         "p_valid_from": datetime(datetime.now(UTC).year + 1, 1, 1, tzinfo=UTC)}
    ],
    "explain_refusal": lambda own, aim: [
        {"p_profile_id": store, "p_job_id": job}
        for store in (own.store, aim.store)
        for job in (None, aim.things["failed"])
    ],
    "note_refusal": lambda own, aim: [{"p_job_id": aim.things[status]} for status in ("failed", "completed")],
    "refused_jobs": lambda own, aim: [
        {"p_account_id": aim.account}, {"p_account_id": own.account, "p_profile_id": aim.store}
    ],
    "ask_for_quota": lambda own, aim: [
        {"p_profile_id": aim.store, "p_scope": scope, "p_missing_usd": Decimal(1)} for scope in ("store", "company")
    ],
    "withdraw_price": lambda own, aim: [{"p_price_id": aim.things["coming price"], "p_reason": "mine"}],
    "price_preview": lambda own, aim: [{"p_account_id": aim.account, "p_month": datetime.now(UTC).date()}],
    "adjust_cost": lambda own, aim: [
        {"p_id": uuid4(), "p_entry_id": aim.things["entry"], "p_usd": Decimal("0.01"), "p_reason": "mine"}
    ],
    "adjust_model": lambda own, aim: [
        {"p_id": uuid4(), "p_account_id": account, "p_profile_id": store, "p_month": datetime.now(UTC).date(),
         "p_price": {"provider": "practice", "model": "micro", "unit_kind": "requests", "usd": "0.5", "per_units": 1},
         "p_reason": "mine"}
        for account, store in ((aim.account, None), (aim.account, aim.store), (own.account, aim.store))
    ],
    "set_writer_prices": lambda own, aim: [
        {"p_account_id": aim.account, "p_model": "gemini-3.8-flash", "p_reason": "mine", "p_valid_from": start,
         "p_prices": {"input_tokens": "7", "cached_tokens": "7", "output_tokens": "7"}}
        for start in (None, datetime(datetime.now(UTC).year + 1, 1, 1, tzinfo=UTC))
    ],
    "save_assistant": lambda own, aim: [
        {"p_id": id_, "p_profile_id": store, "p_values": writer("mine"), "p_version": version}
        for id_, store, version in ((uuid4(), aim.store, None), (aim.things["assistant"], aim.store, 1),
                                    (aim.things["assistant"], own.store, None))
    ],
    "archive_assistant": lambda own, aim: [{"p_assistant_id": aim.things["assistant"], "p_archive": True}],
    "set_version_status": lambda own, aim: [
        {"p_version_id": aim.things["version"], "p_status": status} for status in ("deployed", "archived", "draft")
    ],
    "set_version_notes": lambda own, aim: [{"p_version_id": aim.things["version"], "p_notes": "mine"}],
    "script_quote": lambda own, aim: [{"p_assistant_id": aim.things["assistant"], "p_briefing": aim.mark}],
    "start_script": lambda own, aim: [
        {"p_run_id": run, "p_assistant_id": assistant, "p_briefing": "mine", "p_project_id": project}
        for run, assistant, project in (
            (uuid4(), aim.things["assistant"], None), (uuid4(), own.things["assistant"], aim.things["project"]),
            (aim.things["run"], own.things["assistant"], None))
    ],
    "assistant_costs": lambda own, aim: [
        {"p_account_id": aim.account, "p_profile_id": store, "p_from": date(2020, 1, 1), "p_to": date(2100, 1, 1)}
        for store in (None, aim.store)
    ],
    "proposal_quote": lambda own, aim: [{"p_profile_id": aim.store, "p_kind": "cover", "p_model": "practice"}],
    "start_proposal": lambda own, aim: [
        {"p_id": id_, "p_kind": "cover", "p_profile_id": store, "p_model": "practice", "p_wanted": {"prompt": "mine"},
         "p_project_id": aim.things["project"], "p_clip_id": clip}
        for id_, store, clip in (
            (uuid4(), aim.store, None), (uuid4(), own.store, None), (uuid4(), own.store, aim.things["clip"]),
            (aim.things["proposal"], own.store, None))
    ],
    "check_import": lambda own, aim: [{"p_account_id": aim.account, "p_rows": imported(aim)}],
    "import_rows": lambda own, aim: [{"p_account_id": aim.account, "p_rows": imported(aim), "p_reason": "mine"}],
    "vault_key": lambda own, aim: [{}],
    "store_accounts": lambda own, aim: [{"p_profile_id": aim.store}],
    "save_credential": lambda own, aim: [
        {"p_id": uuid4(), "p_account_id": account, "p_profile_id": store, "p_provider": "elevenlabs", "p_version": 1,
         "p_enabled": False, "p_shared": True, "p_sealed": sealed, "p_found": {"ok": True, "message": "mine"}}
        for account in (own.account, aim.account)
        for store in (None, aim.store)
        for sealed in (None, {"ciphertext": f"v1.{'0' * 16}.mine", "last4": "mine", "shown_address": "mine"})
    ],
    "remove_credential": lambda own, aim: [{"p_credential_id": aim.things["credential"], "p_version": 1}],
    "pin_channels": lambda own, aim: [
        {"p_profile_id": store, "p_credential_id": aim.things["credential"], "p_channels": channels,
         "p_seen": [], "p_reason": "mine"}
        for store in (own.store, aim.store)
        for channels in ([], [aim.mark])
    ],
    "choose_account": lambda own, aim: [
        {"p_profile_id": aim.store, "p_provider": "elevenlabs", "p_uses": "company", "p_version": 1}
    ],
    "retest_credential": lambda own, aim: [{"p_credential_id": aim.things["credential"]}],
    "read_notices": lambda own, aim: [
        {"p_account_id": account, "p_ids": ids}
        for account in (own.account, aim.account)
        for ids in (None, [aim.things["notice"]])
    ],
    "set_notice_preference": lambda own, aim: [
        {"p_account_id": aim.account, "p_kind": "quota", "p_inbox": False, "p_email": False}
    ],
    "notice_settings": lambda own, aim: [{"p_account_id": aim.account}],
    "add_alert_rule": lambda own, aim: [
        {"p_id": uuid4(), "p_account_id": account, "p_scope": scope, "p_target_id": target, "p_percent": None,
         "p_amount_usd": Decimal(7), "p_reason": "mine"}
        for account, scope, target in (
            (aim.account, "company", None), (aim.account, "store", aim.store), (own.account, "store", aim.store),
            (own.account, "person", aim.manager),
        )
    ],
    "switch_alert_rule": lambda own, aim: [
        {"p_rule_id": aim.things["alert"], "p_enabled": False, "p_reason": "mine"}
    ],
    "test_alert_rule": lambda own, aim: [{"p_rule_id": aim.things["alert"]}],
    "save_suspension": lambda own, aim: [
        {"p_account_id": account, "p_after_days": 0, "p_spared": spared, "p_version": 1, "p_reason": "mine"}
        for account, spared in ((aim.account, []), (aim.account, [aim.store]), (own.account, [aim.store]))
    ],
    "save_webhook": lambda own, aim: [
        {"p_account_id": aim.account, "p_sealed": sealed, "p_enabled": True, "p_version": version}
        for sealed in (None, {"ciphertext": "mine", "shown_address": "mine", "last4": "mine"})
        for version in (None, 1)
    ],
    "remove_webhook": lambda own, aim: [{"p_account_id": aim.account, "p_version": 1}],
    "try_webhook": lambda own, aim: [{"p_account_id": aim.account}],
    "webhook_test": lambda own, aim: [{"p_account_id": aim.account, "p_delivery_id": aim.things["delivery"]}],
    "audit_page": lambda own, aim: [
        {"p_account_id": account, **narrowed}
        for account in (own.account, aim.account)
        for narrowed in ({}, {"p_profile_id": aim.store}, {"p_text": aim.mark}, {"p_person_id": aim.manager})
    ],
    "create_project": lambda own, aim: [
        {"p_id": id_, "p_profile_id": store, "p_kind": "video", "p_name": "Mine"}
        for id_, store in ((uuid4(), aim.store), (aim.things["project"], own.store))
    ],
    "rename_project": lambda own, aim: [{"p_project_id": aim.things["project"], "p_name": "Mine"}],
    "delete_project": lambda own, aim: [{"p_project_id": aim.things["project"]}],
    "restore_project": lambda own, aim: [{"p_project_id": aim.things["project"]}],
    "upload_target": lambda own, aim: [
        {"p_profile_id": store, "p_project_id": aim.things["project"]} for store in (own.store, aim.store)
    ],
    "save_post": lambda own, aim: [
        {"p_id": bundle, "p_profile_id": store, "p_clip_id": aim.things["clip"], "p_wanted_at": None,
         "p_publications": [{"channel": aim.mark, "caption": "mine"}], "p_version": version}
        for store in (own.store, aim.store)
        for bundle, version in ((uuid4(), 0), (aim.things["draft post"], 1))
    ],
    "cancel_publication": lambda own, aim: [{"p_publication_id": aim.things["publication"]}],
    "delete_draft": lambda own, aim: [{"p_bundle_id": aim.things["draft post"]}],
    "repeat_post": lambda own, aim: [
        {"p_bundle_id": aim.things["unconfirmed post"], "p_id": uuid4(), "p_channels": [aim.mark], "p_order": order}
        for order in (True, False)
    ],
    "decide_publication": lambda own, aim: [{"p_publication_id": aim.things["publication"], "p_live": True}],
    "dismiss_stray": lambda own, aim: [{"p_profile_id": aim.store, "p_vendor_post": aim.mark}],
    "publish_desk": lambda own, aim: [{"p_profile_id": aim.store}, {"p_profile_id": aim.store, "p_states": ["draft"]}],
    "publishing_outlook": lambda own, aim: [{"p_profile_id": aim.store}],
    "similar_posts": lambda own, aim: [
        {"p_profile_id": store, "p_clip_id": aim.things["clip"], "p_wanted_at": datetime.now(UTC),
         "p_publications": [{"channel": aim.mark, "caption": aim.mark}]}
        for store in (own.store, aim.store)
    ],
    "request_channel_rules": lambda own, aim: [{"p_profile_id": aim.store}],
    "add_clip": lambda own, aim: [
        {"p_clip_id": id_, "p_profile_id": to.store, "p_project_id": aim.things["project"], "p_name": "Mine",
         "p_source": {"path": f"uploads/{of.account}/{of.store}/{id_}.mp4", "name": "m", "bytes": 1,
                      "media_type": "video"}}
        for to in (own, aim) for of in (own, aim) for id_ in (uuid4(), aim.things["clip"])
        if aim is not own
    ],
    "rename_clip": lambda own, aim: [{"p_clip_id": aim.things["clip"], "p_name": "Mine"}],
    "move_clip": lambda own, aim: [
        {"p_clip_id": one.things["clip"], "p_project_id": other.things["project"]}
        for one, other in ((own, aim), (aim, own)) if aim is not own
    ],
    "delete_clip": lambda own, aim: [{"p_clip_id": aim.things["clip"]}],
    "set_clip_cover": lambda own, aim: [
        {"p_clip_id": one.things["clip"], "p_cover_id": cover}
        for one, cover in ((aim, None), (aim, own.things["proposal"]), (own, aim.things["proposal"]))
    ],
    "set_project_cover": lambda own, aim: [
        {"p_project_id": one.things["project"], "p_cover_id": cover}
        for one, cover in ((aim, None), (aim, own.things["proposal"]), (own, aim.things["proposal"]))
    ],
    "restore_clip": lambda own, aim: [{"p_clip_id": aim.things["clip"]}],
    "retry_clip": lambda own, aim: [{"p_clip_id": aim.things["clip"]}],
    "put_speech": lambda own, aim: [
        {"p_clip_id": clip, "p_speech_id": uuid4(), "p_mode": "mix", "p_version": 1}
        for clip in (own.things["clip"], aim.things["clip"])
    ],
    "take_speech_off": lambda own, aim: [{"p_clip_id": aim.things["clip"], "p_version": 1}],
    "clips_page": lambda own, aim: [
        {"p_profile_id": store, **narrowed}
        for store in (own.store, aim.store)
        for narrowed in ({}, {"p_project_id": aim.things["project"]}, {"p_text": aim.mark}, {"p_status": "deleted"})
    ],
    "jobs_desk": lambda own, aim: [
        {"p_account_id": account, **narrowed}
        for account in (own.account, aim.account)
        for narrowed in ({}, {"p_profile_id": aim.store}, {"p_status": "failed"}, {"p_kind": "speech"})
    ],
    "voice_desk": lambda own, aim: [
        {"p_account_id": account, "p_profile_id": store, "p_provider": provider}
        for account in (own.account, aim.account)
        for store in (own.store, aim.store)
        for provider in (None, "elevenlabs")
    ],
    "audit_choices": lambda own, aim: [{"p_account_id": aim.account}],
}  # fmt: skip


def aimed(place: Place, thing: str) -> Row:
    return speech("Sold out again", **{f"{thing}_id": str(place.things[thing])})


def imported(place: Place) -> Row:
    """A file of a company's admin: a new store, and somebody new in it."""
    person = {"row": 2, "email": "file@example.test", "name": "File", "role": "manager", "stores": ["file"]}
    return {"stores": [{"row": 2, "code": "file", "name": "File"}], "people": [person]}


# Legitimate changes, tried in tests/costs and tests/speech: of quotas, and of what else is one's own.
LEGITIMATE = {("admin", "set_quota"), ("foreign admin", "set_quota")}
LEGITIMATE_AT_HOME = {(admin, does) for admin in ("admin", "foreign admin") for does in ("set_price", "confirm_price")}
LEGITIMATE_AT_HOME |= {(who, "save_voice_defaults") for who in ("admin", "manager", "foreign admin", "foreign manager")}
LEGITIMATE_AT_HOME |= {(admin, "allow_free_over_quota") for admin in ("admin", "foreign admin")}
LEGITIMATE_AT_HOME |= {(admin, "set_preview_days") for admin in ("admin", "foreign admin")}
PEOPLE = ("people_of", "add_or_invite", "send_link", "set_member", "sign_out_member")
PEOPLE += ("deactivate_member", "reactivate_member", "remove_member")
LEGITIMATE_AT_HOME |= {(admin, does) for admin in ("admin", "foreign admin") for does in PEOPLE}
LEGITIMATE_AT_HOME |= {
    (admin, does) for admin in ("admin", "foreign admin") for does in ("save_credential", "remove_credential")
}
LEGITIMATE_AT_HOME |= {
    (who, "remove_pronunciation") for who in ("admin", "manager", "foreign admin", "foreign manager")
}
LEGITIMATE_AT_HOME |= {
    (admin, does)
    for admin in ("admin", "foreign admin")
    for does in ("create_store", "save_store", "suspend_store", "store_work", "archive_store", "restore_store",
                 "copy_preview", "copy_settings", "save_company", "set_price_from", "check_import", "import_rows",
                 "withdraw_price", "adjust_cost", "adjust_model", "add_alert_rule",
                 "switch_alert_rule", "save_suspension", "set_writer_prices")
}  # fmt: skip
LEGITIMATE_AT_HOME |= {("finance", "enqueue_export")}
OPEN = "(has_function_privilege('anon', p.oid, 'execute') or has_function_privilege('authenticated', p.oid, 'execute'))"


def test_every_function_that_people_may_call_is_tried(town: Town) -> None:
    granted = town.world.rows(
        f"select distinct p.proname from pg_proc p where p.pronamespace = 'public'::regnamespace and {OPEN}"
    )
    assert {row["proname"] for row in granted} == set(ARGUMENTS)


def test_private_functions_are_open_only_behind_a_public_name_or_to_policies(town: Town) -> None:
    """A person's role reaches the schema private only by way of public functions and policies."""
    helpers = {"my_account_ids", "my_profile_ids", "my_work_profile_ids", "my_colleague_ids"}
    helpers |= {"utc_now", "is_timezone", "fail", "my_media_folders", "media_folder", "my_export_files"}
    helpers |= {"finance_notice_kinds"}
    granted = town.world.rows(
        "select p.proname from pg_proc p where p.pronamespace in ('private'::regnamespace, 'local'::regnamespace)"
        f" and {OPEN}"
    )
    assert {row["proname"] for row in granted} <= set(ARGUMENTS) | helpers


@pytest.mark.parametrize("persona", SEES)
def test_no_function_tells_or_changes_what_is_not_one_s_own(town: Town, persona: str) -> None:
    door, own = town.door(persona), town.places[HOME.get(persona, "own")]
    hidden = hidden_from(town, persona)
    guarded, others = guarded_rows(town), rows_of_others(town, persona)
    for aim in town.places.values():
        for function, arguments in ARGUMENTS.items():
            for values in [] if legitimate(persona, function, aim) else arguments(own, aim):
                assert told(hidden, answer(door, function, values)) == set(), (function, aim.name, values)
    assert guarded_rows(town) == guarded
    assert rows_of_others(town, persona) == others


def legitimate(persona: str, function: str, aim: Place) -> bool:
    at_home = aim.name in SEES[persona] and (persona, function) in LEGITIMATE_AT_HOME
    return at_home or (persona, function) in LEGITIMATE


def answer(door: Database, function: str, values: Row) -> str:
    """All that a call tells: its answer, or its error with everything that hangs on it."""
    try:
        return postgres.dumps(door.call(function, **values))
    except AppError as exc:
        return f"{exc} {exc.__dict__}"


def guarded_rows(town: Town) -> Row:
    """Quotas, grants, roles and prices of everybody."""
    return {table: sorted(map(str, town.world.rows(f"select * from public.{table}"))) for table in GUARDED}


def rows_of_others(town: Town, persona: str) -> Row:
    """Every row of every store in which the persona may not work."""
    others = [place for name, place in town.places.items() if name not in SEES[persona] or persona == "finance"]
    return {
        (place.name, table): sorted(
            map(str, town.world.rows(f"select * from public.{table} where profile_id = %s", place.store))
        )
        for place in others
        for table in tables_with(town.world, "profile_id")
    }


def test_the_session_s_secret_tells_who_one_is_and_no_more(town: Town) -> None:
    manager = town.places["own"].manager
    town.world.execute(
        "insert into private.sessions (secret_hash, person_id, expires_at)"
        " values (private.hash_secret('open sesame'), %s, now() + interval '1 hour')",
        manager,
    )
    nobody = town.door("anonymous")
    loaded = answer(nobody, "load_session", {"p_secret": "open sesame"})
    assert json.loads(loaded)["id"] == str(manager)
    assert told(hidden_from(town, "manager"), loaded) == set()
    assert answer(nobody, "load_session", {"p_secret": "open sesame!"}) == "null"


# Tables -----------------------------------------------------------------------------------------------------

VERBS = {
    "insert": sql.SQL("insert into public.{} default values"),
    "update": sql.SQL("update public.{} set {} = default"),
    "delete": sql.SQL("delete from public.{}"),
    "truncate": sql.SQL("truncate public.{}"),
}
MAY_WRITE: set[tuple[str, str]] = set()  # (table, verb) that people are granted; none so far


def relations(world: World, kinds: str = "{r,p,v,m,f}") -> list[str]:
    query = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = any (%s)"
    return [row["relname"] for row in world.rows(query, kinds)]


@contextmanager
def acting(town: Town, persona: str) -> Iterator[Callable[[sql.Composable], list[Row]]]:
    """Run statements as the persona, in a transaction that is forgotten."""
    role = "anon" if persona == "anonymous" else "authenticated"
    claims = json.dumps({"sub": str(town.people[persona])}) if persona in town.people else ""
    settings = "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)"

    def run(statement: sql.Composable) -> list[Row]:
        with connection.transaction():
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    with psycopg.connect(town.world.url, row_factory=dict_row) as connection:
        connection.execute(settings, (role, claims))
        yield run
        connection.rollback()


def table_text(rows: list[Row]) -> str:
    return str([{name: str(value) for name, value in row.items()} for row in rows])


@pytest.mark.parametrize("persona", [name for name in SEES if name != "anonymous"])
def test_tables_show_what_is_one_s_own_and_nothing_else(town: Town, persona: str) -> None:
    hidden, seen = hidden_from(town, persona), ""
    with acting(town, persona) as run:
        for table in relations(town.world):
            text = table_text(run(sql.SQL("select * from public.{}").format(sql.Identifier(table))))
            assert told(hidden, text) == set(), table
            seen += text
    for name in SEES[persona]:
        assert town.secrets[name] - told(town.secrets[name], seen) == set(), "hidden from those who may see it"


def test_every_table_has_something_to_hide(town: Town) -> None:
    """Else the test above would pass for a table that shows everything."""
    for table in relations(town.world):
        text = table_text(town.world.rows(f"select * from public.{table}"))
        assert told(hidden_from(town, "manager"), text), table


@pytest.mark.parametrize("persona", SEES)
def test_nobody_writes_to_a_table(town: Town, persona: str) -> None:
    first_column = "select attname from pg_attribute where attrelid = %s::regclass and attnum = 1"
    with acting(town, persona) as run:
        for table in relations(town.world, "{r,p,m,f}"):
            names = sql.Identifier(table), sql.Identifier(town.world.value(first_column, f"public.{table}"))
            for verb in VERBS.keys() - {verb for where, verb in MAY_WRITE if where == table}:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    run(VERBS[verb].format(*names))


def test_nobody_may_write_to_a_view(town: Town) -> None:
    """To try as above would tell less: a view of several tables refuses everybody, for another reason."""
    granted = "has_table_privilege(%s, %s, 'insert, update, delete, truncate')"
    for view in relations(town.world, "{v}"):
        for role in ("anon", "authenticated"):
            assert not town.world.value(f"select {granted}", role, f"public.{view}")


def test_anonymous_reads_no_table(town: Town) -> None:
    with acting(town, "anonymous") as run:
        for table in relations(town.world):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                run(sql.SQL("select from public.{}").format(sql.Identifier(table)))


@pytest.mark.parametrize("persona", SEES)
def test_the_schemas_behind_are_closed(town: Town, persona: str) -> None:
    tables = town.world.rows(
        "select relnamespace::regnamespace::text as schema, relname as name from pg_class where relkind = 'r'"
        " and relnamespace::regnamespace::text in ('private', 'auth', 'supabase_migrations')"
    )
    assert len(tables) >= 4
    with acting(town, persona) as run:
        for table in tables:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                run(sql.SQL("select from {}").format(sql.Identifier(table["schema"], table["name"])))
