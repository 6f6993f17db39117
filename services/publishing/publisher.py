"""The publisher: uploads, sends and follows posts until what became of each is known. docs/publishing.md.

It keeps nothing in memory between two pieces of work: any number of publishers may run, and die at any line.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast
from uuid import UUID

from services import credentials
from services.config import Settings
from services.credentials import Opened
from services.database.door import Database
from services.errors import (
    Allowance,
    AppError,
    AttemptLost,
    PublishingLimited,
    PublishingMisconfigured,
    PublishingRefused,
    PublishingUnclear,
    PublishingUnreachable,
    Unavailable,
)
from services.jobs.checkpoints import reached
from services.jobs.context import Context, Outcome
from services.logs import tag
from services.media.door import Media
from services.publishing import connect, looking, wire
from services.publishing.lists import Lists, shown
from services.publishing.strays import look_for_strays
from services.publishing.upload import Beating, Berths
from services.publishing.vendor import Created, Entry, Vendor
from services.publishing.work import Bundle, Planned, Work

log = logging.getLogger(__name__)

LEASE = Decimal(180)  # seconds: longer than any call but an upload, which extends it
AT_ONCE = 500  # pieces of work of one tick; the rest is left to the next one
WATCHED = timedelta(seconds=60)  # how old a look at an account's channels may be when something is sent there
QUICK = 20.0  # seconds from the intent to the request, at most: a process that slept longer does not send
AHEAD = 30.0  # seconds from the request to the post's instant, at least: Postiz publishes at once what is past
SHORTEST_WAIT, LONGEST_WAIT = 15.0, 600.0  # seconds between two tries
LONGEST_BLIND = 120.0  # of a list: a post's moment may pass meanwhile
BERTHS = Berths()


@dataclass(frozen=True)
class Account:
    """What a piece of work is done with."""

    vendor: Vendor
    organization: str
    key_id: UUID | None


class Publisher:
    """`database` is the worker's. `vendor`, `organization` and `opened` say how a saved account is opened."""

    def __init__(
        self,
        database: Database,
        media: Media,
        options: Settings,
        vendor: Callable[[Opened], Vendor] | None = None,
        organization: Callable[[Opened], str] | None = None,
        opened: Callable[[UUID], Opened | None] | None = None,
    ) -> None:
        self._database = database
        self._media = media
        self._vendor = vendor or (lambda found: connect.vendor(database, options, found))
        self._organization = organization or self._named_organization
        self._opened = opened or (lambda credential_id: credentials.saved(database, options, credential_id))
        self._threads = options.worker_threads
        self._pepper: str | None = None

    def tick(self, now: datetime | None = None, check: Callable[[], None] = lambda: None) -> int:
        """Do what is due; returns how many pieces of work that were. `now` is for tests: the database's clock else.

        `check` is called between two pieces and may raise. Raises `Unavailable` while the database is away.
        """
        done = 0
        while done < AT_ONCE and self._piece(now):
            done += 1
            check()
        return done + look_for_strays(self._database, self.account, now)

    def account(self, credential_id: UUID | None) -> Account:
        """Raises `PublishingMisconfigured`, `ProviderUnavailable` or `SettingsInvalid` where it cannot be opened."""
        found = self._opened(credential_id) if credential_id else None
        if found is None:
            raise PublishingMisconfigured("The Postiz account of this post was removed. An admin can connect one.")
        return Account(self._vendor(found), self._organization(found), found.key_id)

    def _named_organization(self, opened: Opened) -> str:
        self._pepper = self._pepper or connect.pepper(self._database)
        return connect.organization(self._pepper, opened)

    # A piece of work --------------------------------------------------------------------------------------------

    def _piece(self, now: datetime | None) -> bool:
        """Do the next piece of work; returns whether there was one."""
        with BERTHS.one(self._threads) as berth:
            work = self._claim(now, uploads=berth.taken)
            if work is None:
                return False
            if work.task != "upload":
                berth.leave()
            reached("publish_claimed")
            self._do(work, now)
        return True

    def _claim(self, now: datetime | None, *, uploads: bool) -> Work | None:
        found = self._database.call("claim_publishing", p_lease_seconds=LEASE, p_now=now, p_uploads=uploads)
        return Work.model_validate(found) if found else None

    def _do(self, work: Work, now: datetime | None) -> None:
        task = {"upload": self._upload, "send": self._send, "read": self._read}[work.task]
        try:
            task(work, self.account(work.bundle.credential_id), now)
        except AttemptLost:
            log.info("%s bundle %s: somebody else has it now", tag(work.bundle.profile_id), work.bundle.id)
        except AppError as exc:
            if isinstance(exc, Unavailable) and not isinstance(exc, PublishingUnreachable | PublishingLimited):
                raise  # the database: the lease runs out
            self._wait(work, str(exc), now, exc.seconds if isinstance(exc, PublishingLimited) else 0.0)
        except Exception:
            log.exception("%s bundle %s: unexpected", tag(work.bundle.profile_id), work.bundle.id)
            self._wait(work, "Something unexpected went wrong; the worker's log has the details.", now)

    def _wait(self, work: Work, sentence: str, now: datetime | None, seconds: float = 0.0) -> None:
        """Try again later: after the vendor's own `seconds`, unless they are too long for what waits."""
        log.warning("%s bundle %s (%s): %s", tag(work.bundle.profile_id), work.bundle.id, work.task, sentence)
        try:
            self._write("bundle_waits", work, now, p_seconds=_backoff(work, seconds), p_trouble=sentence)
        except AttemptLost:
            log.info("%s bundle %s: somebody else has it now", tag(work.bundle.profile_id), work.bundle.id)

    def _write(self, function: str, work: Work, now: datetime | None, **params: Any) -> Any:
        return self._database.call(function, p_token=work.token, p_now=now, **params)

    # Uploading --------------------------------------------------------------------------------------------------

    def _upload(self, work: Work, account: Account, now: datetime | None) -> None:
        """File by file, until the library has all that the bundle is sent with."""
        bundle, media = work.bundle, None
        while not (answer := self._uploaded(work, account, media, now))["done"]:
            if answer["path"] is None:
                self._wait(work, "Its clip was deleted or is not ready. Restore the clip or take the post back.", now)
                return
            try:
                media = self._sent_media(work, account, answer["path"], now)
            except PublishingRefused as exc:
                log.warning("%s bundle %s: clip refused: %s", tag(bundle.profile_id), bundle.id, exc)
                self._write("bundle_refused", work, now, p_ids=None, p_error=str(exc), p_allowance=None)
                return
            reached("media_uploaded")
        reached("media_noted")

    def _uploaded(self, work: Work, account: Account, media: dict[str, str] | None, now: datetime | None) -> Any:
        """Note what was uploaded. Returns whether that is all, and the path of what is missing."""
        known = {"p_organization": account.organization, "p_key_id": account.key_id}
        return self._write("uploaded_bundle", work, now, p_media=media, **known)

    def _sent_media(self, work: Work, account: Account, path: str, now: datetime | None) -> dict[str, str]:
        def keep() -> None:
            self._write("keep_bundle", work, now, p_lease_seconds=LEASE)

        with self._media.open(path) as file:
            name = PurePosixPath(path).name
            kept = cast(BinaryIO, Beating(file, keep, float(LEASE) / 3))
            sent = account.vendor.upload(kept, name, work.bundle.profile_id)
        return {"id": sent.id, "path": sent.path, "source": path}

    # Sending ----------------------------------------------------------------------------------------------------

    def _send(self, work: Work, account: Account, now: datetime | None) -> None:
        bundle = work.bundle
        if work.channels_at is None or work.now - work.channels_at > WATCHED:
            self._watch(bundle, account, now)
        began = wire.awake()
        intent = self._write("begin_sending", work, now, p_organization=account.organization, p_key_id=account.key_id)
        if not intent["go"]:
            return
        reached("send_intended")
        entries = bundle.entries({UUID(one) for one in intent["publications"]})
        before = began + min(QUICK, float(intent["seconds"]) - AHEAD)
        if wire.awake() >= before:
            self._not_sent(work, 1.0, "The worker slept; it is sent again.", now)
            return
        self._post(work, account, datetime.fromisoformat(intent["due_at"]), entries, before, now)

    def _watch(self, bundle: Bundle, account: Account, now: datetime | None) -> None:
        channels = [shown(channel) for channel in account.vendor.channels()]
        self._database.call("watch_channels", p_credential_id=bundle.credential_id, p_channels=channels, p_now=now)

    def _post(
        self, work: Work, account: Account, due: datetime, entries: list[Entry], before: float, now: datetime | None
    ) -> None:
        """The one request that cannot be taken back, and whatever comes of it. From `before` on it does not leave."""
        bundle = work.bundle
        try:
            created = account.vendor.create(due, entries, profile_id=bundle.profile_id, before=before)
        except PublishingRefused as exc:
            self._refused(work, entries, exc, now)
        except PublishingLimited as exc:
            log.warning("%s Postiz takes no more requests for %.0f s: %s", tag(bundle.profile_id), exc.seconds, exc)
            self._not_sent(work, exc.seconds, str(exc), now, p_limited=True)
        except (PublishingUnreachable, PublishingMisconfigured) as exc:
            log.warning("%s bundle %s was not sent: %s", tag(bundle.profile_id), bundle.id, exc)
            self._not_sent(work, _backoff(work), str(exc), now)
        except PublishingUnclear as exc:
            self._unclear(work, str(exc), exc.allowance, now)
        except Exception as exc:
            log.exception("%s bundle %s: unexpected", tag(bundle.profile_id), bundle.id)
            self._unclear(work, f"Something unexpected went wrong ({type(exc).__name__}).", None, now)
        else:
            reached("posts_created")
            self._sent(work, entries, created, now)

    def _sent(self, work: Work, entries: list[Entry], created: Created, now: datetime | None) -> None:
        ids = dict(created.posts)
        posts = [
            {"id": entry.reference, "vendor_post": ids[entry.channel]} for entry in entries if entry.channel in ids
        ]
        self._write("bundle_sent", work, now, p_posts=posts, p_allowance=_told(created.allowance))
        reached("posts_noted")
        log.info("%s bundle %s: handed over as %d posts", tag(work.bundle.profile_id), work.bundle.id, len(posts))

    def _refused(self, work: Work, entries: list[Entry], exc: PublishingRefused, now: datetime | None) -> None:
        log.warning("%s bundle %s: refused: %s", tag(work.bundle.profile_id), work.bundle.id, exc)
        self._write(
            "bundle_refused", work, now, p_ids=self._named(work.bundle, entries, exc), p_error=str(exc),
            p_allowance=_told(exc.allowance),
        )  # fmt: skip

    @staticmethod
    def _named(bundle: Bundle, entries: list[Entry], exc: PublishingRefused) -> list[UUID] | None:
        """The publications that a refusal names; None: it is of the whole request."""
        if exc.index is not None and 0 <= exc.index < len(entries):
            return [entries[exc.index].reference]
        names = {p.id: p.name for p in bundle.publications}
        by_id = [e.reference for e in entries if e.channel == exc.channel]
        by_name = [
            e.reference for e in entries if (e.identifier, names[e.reference]) == (exc.provider, exc.channel_name)
        ]
        by_network = [e.reference for e in entries if e.identifier == exc.provider]
        return by_id or by_name or by_network or None

    def _not_sent(self, work: Work, seconds: float, sentence: str, now: datetime | None, **params: Any) -> None:
        wait = Decimal(f"{seconds:.3f}")
        self._write("bundle_not_sent", work, now, p_seconds=wait, p_trouble=sentence, **params)

    def _unclear(self, work: Work, sentence: str, allowance: Allowance | None, now: datetime | None) -> None:
        log.warning("%s bundle %s: no clear answer: %s", tag(work.bundle.profile_id), work.bundle.id, sentence)
        self._write("bundle_unclear", work, now, p_trouble=sentence, p_allowance=_told(allowance))

    # Following --------------------------------------------------------------------------------------------------

    def _read(self, work: Work, account: Account, now: datetime | None) -> None:
        lists = Lists(account.vendor, work, account.organization)
        readings = lists.readings()
        reached("listed")
        told = [reading.model_dump(mode="json", exclude_none=True) for reading in readings]
        self._write("save_readings", work, now, p_readings=told)
        reached("readings_saved")
        before = {plan.id: plan for plan in work.publications}
        for reading in readings:
            plan = before[reading.id]
            if plan.state != reading.state:
                log.info("%s %s: %s → %s", tag(plan.profile_id), plan, plan.state, reading.state)
        if lost := lists.lost_permissions():
            self._database.call("note_reconnects", p_credential_id=work.bundle.credential_id, p_told=lost)


def publish(context: Context) -> Outcome:
    """Job: do what is due until nothing is."""
    publisher = Publisher(context.database, context.media, context.options)
    return {"done": publisher.tick(check=context.check)}


def _told(allowance: Allowance | None) -> dict[str, float] | None:
    if allowance is None:
        return None
    return {"limit": allowance.limit, "remaining": allowance.remaining, "seconds": allowance.seconds}


def _longest_blind(plan: Planned, now: datetime) -> float:
    return looking.slowly(plan, now) if plan.state == "unconfirmed" else LONGEST_BLIND


def _longest(work: Work) -> float:
    """Seconds between two tries, never so long that it matters."""
    if work.task == "read":
        return min(_longest_blind(plan, work.now) for plan in work.publications)
    if work.bundle.wanted_at > work.now:
        return min(LONGEST_WAIT, max((work.bundle.wanted_at - work.now).total_seconds() / 4, SHORTEST_WAIT))
    return LONGEST_WAIT


def _backoff(work: Work, asked: float = 0.0) -> float:
    """Seconds: 30, 60, 120 … or those that the vendor `asked` for."""
    return min(max(30.0 * 2.0 ** min(work.bundle.tries, 10), asked), _longest(work))
