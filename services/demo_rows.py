"""The demo company as rows of its tables, for `load_demo`: every column that has a default is given."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

from services.demo_data import ACCOUNT_ID, COMPANY, FOUNDER, PEOPLE, PRICES, STORES, Person, Price, ident
from services.demo_history import Change, PriceBook, Row, Shop, Span, Work, build_shop, company_budget, sign_ins
from services.demo_posts import posts
from services.demo_scripts import orders, run_of, scripts, step_of

Rows = dict[str, list[Row]]


def rows(now: datetime) -> Rows:
    """Rows by table for `load_demo`; apart from the moments of posts to come nothing is later than `now` (aware).

    Rows of `speech_assets` lack `duration_seconds` and `bytes`: the audio is still to be made.
    """
    span = Span.until_now(now)
    book = PriceBook(span)
    shops = [build_shop(store, span, book) for store in STORES]
    work = sorted((w for shop in shops for w in shop.work), key=lambda w: (w.ended, w.id))
    changes = sorted((*company_budget(shops, span), *(c for s in shops for c in s.changes)), key=lambda c: c.at)
    speech = [w for w in work if w.job]
    written = orders(shops, span)
    made = scripts(written, book, span)
    return {
        **_company(shops, changes, span),
        **posts(shops, span),
        **made,
        "prices": [_price_row(price, book.valid_from(price)) for price in PRICES],
        "projects": [row for shop in shops for row in shop.projects],
        "clips": [row for shop in shops for row in shop.clips],
        "jobs": [*(_job_row(w) for w in speech), *made["jobs"]],
        "speech_assets": [_asset_row(w, book) for w in speech if w.has_audio],
        "cost_entries": _ledger(work, book, {order.work.id for order in written}),
        "cost_entry_details": [_detail_row(w) for w in work if w.booked],
        "quota_changes": [_change_row(change) for change in changes],
        "audit_log": _audit(changes, speech, span),
    }


def _company(shops: Sequence[Shop], changes: Sequence[Change], span: Span) -> Rows:
    stamps = {"created_at": span.founded, "updated_at": span.founded}
    company_quota = next(change.after for change in changes if change.store is None)
    account = {"id": ACCOUNT_ID, "monthly_quota_usd": company_quota, "settings": {}, "is_demo": True}
    account |= {"version": 1, "new_store_quota_usd": 0}
    return {
        "accounts": [account | COMPANY | stamps],
        "people": [{"id": p.id, "email": p.email, "name": p.name} | stamps for p in PEOPLE],
        "members": [{"account_id": ACCOUNT_ID, "person_id": p.id, "role": p.role} | stamps for p in PEOPLE],
        "profiles": [_profile_row(shop) | stamps for shop in shops],
        "profile_members": [
            {
                "profile_id": shop.store.id,
                "account_id": ACCOUNT_ID,
                "person_id": p.id,
                "created_at": span.founded,
            }
            for shop in shops
            for p in PEOPLE
            if shop.store.code in p.stores
        ],
    }


def _profile_row(shop: Shop) -> Row:
    store = shop.store
    return {
        "id": store.id,
        "account_id": ACCOUNT_ID,
        "slug": store.slug,
        "code": store.code,
        "cost_centre": store.cost_centre,
        "name": store.name,
        "city": store.city,
        "phone": store.phone,
        "timezone": store.timezone,
        "version": 1,
        "voice_version": 1,
        "monthly_quota_usd": shop.quota,
        "tts_settings": {},
        "allow_free_voices_over_quota": store.ends == "reached",
    }


def _price_row(price: Price, valid_from: datetime) -> Row:
    return {
        "id": price.id,
        "account_id": ACCOUNT_ID,
        "provider": price.provider,
        "model": price.model,
        "unit_kind": price.unit_kind,
        "usd": price.usd,
        "per_units": price.per_units,
        "valid_from": valid_from,
        "created_by": FOUNDER.id,
        "reason": price.reason,
        "created_at": valid_from,
    }


def _change_row(change: Change) -> Row:
    profile_id = change.store.id if change.store else None
    return {
        "id": ident("quota change", profile_id, change.at),
        "account_id": ACCOUNT_ID,
        "profile_id": profile_id,
        "before_usd": change.before,
        "after_usd": change.after,
        "reason": change.reason,
        "changed_by": FOUNDER.id,
        "changed_at": change.at,
    }


SETTINGS_JSON = '{"speed": 1.0}'  # as Postgres writes them; part of the hash


def _speech_hash(work: Work) -> str:
    """The same as `private.speech_hash`, so that this speech is offered for reuse."""
    parts = (work.kind.service, work.kind.model, work.kind.voice or "", "mp3", SETTINGS_JSON, work.text)
    return sha256("\x1f".join(parts).encode()).hexdigest()


def _job_row(work: Work) -> Row:
    done = work.outcome == "completed"
    message = {"completed": "Done", "failed": "Failed", "cancelled": "Cancelled"}[work.outcome]
    cancelled_at = work.ended if work.outcome == "cancelled" else None
    return {
        "id": work.id,
        "account_id": ACCOUNT_ID,
        "profile_id": work.store.id,
        "kind": "speech",
        "status": work.outcome,
        "progress": 1 if done else Decimal("0.1"),
        "message": message,
        "input": _speech_input(work),
        "result": {"speech_id": work.entry_id} if work.has_audio else None,
        "error": work.error,
        "request_id": work.id,
        "dedupe_key": _speech_hash(work),
        "attempt": 3 if work.error and "3 times" in work.error else 1,
        "max_attempts": 3,
        "run_after": work.at,
        "cancel_requested_at": cancelled_at,
        "created_by": work.person_id,
        "started_at": min(work.at + timedelta(milliseconds=300), work.ended),
        "finished_at": work.ended,
        "created_at": work.at,
        "updated_at": work.ended,
    }


def _speech_input(work: Work) -> Row:
    return {
        "text": work.text,
        "provider": work.kind.service,
        "model": work.kind.model,
        "voice": work.kind.voice,
        "format": "mp3",
        "settings": {"speed": 1.0},
        "project_id": work.project_id,
        "clip_id": work.clip_id,
    }


def _asset_row(work: Work, book: PriceBook) -> Row:
    asset_id = work.entry_id
    return {
        "id": asset_id,
        "account_id": ACCOUNT_ID,
        "profile_id": work.store.id,
        "job_id": work.id,
        "created_by": work.person_id,
        "text": work.text,
        "content_hash": _speech_hash(work),
        "provider": work.kind.service,
        "model": work.kind.model,
        "voice": work.kind.voice,
        "settings": {"speed": 1.0},
        "format": "mp3",
        "characters": len(work.text),
        "media_path": f"speech/{ACCOUNT_ID}/{work.store.id}/{asset_id}.mp3",
        "cost_usd": book.cost(work),
        "saved_usd": 0,
        "created_at": work.ended,
        "updated_at": work.ended,
    }


def _ledger(work: Iterable[Work], book: PriceBook, written: Collection[UUID]) -> list[Row]:
    """Booked in the order in which the work ended, as `seq` says; `written`: by runs of assistants."""
    booked = (w for w in work if w.booked)
    rows = {w.id: _entry_row(w, seq, book) for seq, w in enumerate(booked, start=1)}
    by_run = {w.id: {"job_id": run_of(w), "run_id": run_of(w), "step_id": step_of(w)} for w in work if w.id in written}
    return [row | by_run.get(id_, {}) for id_, row in rows.items()]


def _entry_row(work: Work, seq: int, book: PriceBook) -> Row:
    return {
        "id": work.entry_id,
        "account_id": ACCOUNT_ID,
        "seq": seq,
        "request_id": work.id,
        "profile_id": work.store.id,
        "profile_name": work.store.name,
        "user_id": work.person_id,
        "user_name": work.person.name if work.person else None,
        "job_id": work.id if work.job else None,
        "project_id": work.project_id,
        "clip_id": work.clip_id,
        "service": work.kind.service,
        "operation": work.kind.operation,
        "model": work.kind.model,
        "category": work.kind.category,
        "units": work.units,
        "unit_prices": _unit_prices(book.used(work)),
        "cost_usd": book.cost(work),
        "overrun_usd": 0,
        "counts_to_quota": True,
        "occurred_at": work.at,
        "booked_on": work.at.date(),
        "settled_at": work.ended,
    }


def _unit_prices(used: Mapping[str, Price]) -> Row:
    return {
        kind: {"price_id": price.id, "usd": f"{price.usd:.9f}", "per_units": price.per_units}
        for kind, price in used.items()
    }


def _detail_row(work: Work) -> Row:
    preview = work.text[:100] + ("..." if len(work.text) > 100 else "")
    return {
        "entry_id": work.entry_id,
        "account_id": ACCOUNT_ID,
        "profile_id": work.store.id,
        "details": {"preview": preview},
        "created_at": work.ended,
    }


def _audit(changes: Iterable[Change], speech: Iterable[Work], span: Span) -> list[Row]:
    """Who did what, in the order of time: the founding, quotas, cancelled jobs, sign-ins of the last weeks."""
    rows = [
        *_founding(span),
        *(_quota_audit(change) for change in changes),
        *(_cancel_audit(w) for w in speech if w.outcome == "cancelled"),
        *(_audit_row(at, person, "signed_in") for at, person in sign_ins(span)),
    ]
    return sorted(rows, key=lambda row: row["at"])


def _audit_row(at: datetime, person: Person | None, action: str, **values: Any) -> Row:
    return {
        "account_id": ACCOUNT_ID,
        "at": at,
        "person_id": person.id if person else None,
        "person_name": person.name if person else "System",
        "action": action,
        **values,
    }


def _founding(span: Span) -> Iterator[Row]:
    yield _audit_row(span.founded, FOUNDER, "company_created", subject=COMPANY["name"])
    stores = {store.code: str(store.id) for store in STORES}
    for minute, person in enumerate(PEOPLE[1:], start=1):
        after = {"role": person.role, "stores": [stores[code] for code in person.stores]}
        at = span.founded + timedelta(minutes=minute)
        yield _audit_row(at, FOUNDER, "person_added", subject=person.email, after=after)


def _quota_audit(change: Change) -> Row:
    return _audit_row(
        change.at,
        FOUNDER,
        "quota_changed",
        profile_id=change.store.id if change.store else None,
        reason=change.reason,
        before={"monthly_quota_usd": str(change.before)},
        after={"monthly_quota_usd": str(change.after)},
    )


def _cancel_audit(work: Work) -> Row:
    return _audit_row(work.ended, work.person, "job_cancelled", subject=f"speech {work.id}", profile_id=work.store.id)
