"""Sign-in by Supabase Auth: sealed tokens, renewed by one replica at a time; mailed invitations and resets."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from services import identity, people, profiles
from services.accounts import cloud as cloud_accounts
from services.accounts import tokens
from services.accounts.cloud import CloudAccounts
from services.accounts.tokens import Tokens
from services.database.cloud_doors import CloudDoors
from services.errors import (
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    SettingsInvalid,
    SignedOut,
    TooManyTries,
    Unavailable,
)
from services.jobs import attempt
from services.jobs.context import Claimed, Context
from services.jobs.handlers import HANDLERS
from services.media.folder import Folder
from services.people import Outcome
from tests import kill
from tests.accounts.conftest import PASSWORD, SESSION_KEY

OTHER = "battery staple correct"


def known(secret):
    identity.sessions.clear()  # what another replica, or this one ten seconds later, would find
    return identity.load(secret)


def audit(world, account):
    rows = world.rows("select action, address from public.audit_log where account_id = %s order by id", account)
    return [(row["action"], row["address"]) for row in rows]


def run_out(world, person, seconds=0):
    """Let the person's access tokens run out in that time, as the session's row knows it."""
    world.execute(
        "update private.sessions set tokens_until = now() + make_interval(secs => %s) where person_id = %s",
        seconds, person,
    )  # fmt: skip


class TestSignIn:
    def test_opens_a_session_of_that_person_with_their_own_data(self, world, anna, enter):
        person = known(enter(anna.email))
        assert (person.id, person.name, person.address) == (anna.id, "Anna", "10.9.8.7")
        assert [store.id for store in profiles.my_stores(person.database, anna.account)] == [anna.store]
        assert audit(world, anna.account) == [("signed_in", "10.9.8.7")]

    @pytest.mark.parametrize("email", ["anna", "nobody@example.test"])
    def test_wrong_is_wrong_in_the_same_words(self, anna, enter, email):
        with pytest.raises(InvalidInput) as refused:
            enter(anna.email if email == "anna" else email, "not the password")
        assert (str(refused.value), refused.value.field) == ("The e-mail address or the password is wrong.", "password")

    def test_who_belongs_to_no_company_is_told(self, auth, enter):
        auth.user("drifter@example.test", PASSWORD)
        with pytest.raises(SignedOut, match="Ask an admin to invite you"):
            enter("drifter@example.test")

    def test_tries_are_counted(self, anna, enter):
        for _ in range(5):
            with pytest.raises(InvalidInput):
                enter(anna.email, "guess number x")
        with pytest.raises(TooManyTries, match="Wait 15 min"):
            enter(anna.email)

    def test_many_colleagues_behind_one_address_sign_in_one_after_the_other(self):
        counted = cloud_accounts.Tries()
        for number in range(40):
            counted.wait_for_turn(f"{number}@example.test", "10.0.0.1")
            counted.forget(f"{number}@example.test", "10.0.0.1")
        for number in range(30):
            counted.wait_for_turn(f"{number}@example.test", "10.0.0.1")
        with pytest.raises(TooManyTries):
            counted.wait_for_turn("another@example.test", "10.0.0.1")

    @pytest.mark.parametrize("fault", ["500", "502_html", "503", "cut"])
    def test_a_service_that_is_away_is_no_wrong_password(self, project, anna, enter, fault):
        project.stack.faults.next("/auth/v1/token", fault)
        with pytest.raises(Unavailable):
            enter(anna.email)
        assert known(enter(anna.email)).id == anna.id

    def test_too_many_at_the_service(self, project, anna, enter):
        project.stack.faults.next("/auth/v1/token", "429")
        with pytest.raises(TooManyTries):
            enter(anna.email)

    def test_a_wrong_key_is_a_setting(self, world, project, anna, enter, cloud, monkeypatch):
        monkeypatch.setattr(project.stack, "publishable_key", "sb_publishable_another")
        with pytest.raises(SettingsInvalid, match="SUPABASE_PUBLISHABLE_KEY"):
            enter(anna.email)

    def test_a_session_that_ran_out_is_renewed_under_its_secret(self, world, anna, enter):
        secret = enter(anna.email)
        world.execute("update private.sessions set expires_at = now() - interval '1 minute'")
        assert known(secret) is None
        assert enter(anna.email, previous=secret) == secret
        assert known(secret).id == anna.id

    def test_nobody_elses_secret_is_renewed(self, world, anna, enter, auth):
        other = world.person(anna.account, "finance")
        email = world.password(other, PASSWORD)
        auth.password(other, PASSWORD)
        secret = enter(email)
        world.execute("update private.sessions set expires_at = now() - interval '1 minute'")
        assert enter(anna.email, previous=secret) != secret


class TestSession:
    def test_the_row_holds_no_token_that_could_be_used(self, world, auth, anna, enter):
        token = known(enter(anna.email)).token.get_secret_value()
        rows = world.rows("select * from private.sessions where person_id = %s", anna.id)
        assert token not in str(rows)
        assert token not in repr(known(enter(anna.email)))
        assert all(r not in str(rows) for session in auth.sessions.values() for r in session.refresh)

    def test_a_seal_opens_for_its_own_session_and_key_only(self):
        key, other = SecretStr(SESSION_KEY), SecretStr(SESSION_KEY.replace("MDE", "MDI"))
        sealed = tokens.seal(key, "mine", Tokens("a", "r", 60))
        assert tokens.unseal(key, "mine", sealed) == Tokens("a", "r", 60)
        for wrong in ((key, "theirs", sealed), (other, "mine", sealed), (key, "mine", "no seal")):
            with pytest.raises(SignedOut):
                tokens.unseal(*wrong)

    def test_survives_another_replica_and_a_restart(self, anna, enter, replica, monkeypatch):
        secret = enter(anna.email)
        monkeypatch.setattr("services.database.connect._current", [replica.doors])
        assert known(secret).id == anna.id

    @pytest.mark.parametrize("how", ["banned", "deleted", "deactivated"])
    def test_who_is_let_go_is_out(self, world, auth, anna, enter, how):
        secret = enter(anna.email)
        if how == "deactivated":
            world.execute("update public.people set deactivated_at = now() where id = %s", anna.id)
        else:
            getattr(auth, {"banned": "ban", "deleted": "delete"}[how])(anna.id)
        assert known(secret) is None
        if how != "deleted":  # the service says it in its own way
            with pytest.raises((SignedOut, InvalidInput)):
                enter(anna.email)

    def test_a_yes_is_believed_for_ten_seconds_at_most(self, auth, anna, enter, monkeypatch):
        secret = enter(anna.email)
        assert identity.load(secret) is not None
        auth.ban(anna.id)
        now = [time.monotonic()]
        monkeypatch.setattr(identity.time, "monotonic", lambda: now[0])
        assert identity.load(secret) is not None
        now[0] += identity.SESSION_CACHE_SECONDS + 0.1
        assert identity.load(secret) is None

    def test_signing_out_ends_the_vendors_session_too(self, auth, anna, enter):
        here, there = enter(anna.email), enter(anna.email)
        identity.sign_out(here)
        assert known(here) is None
        assert known(there).id == anna.id
        assert len([s for s in auth.sessions.values() if s.user_id == anna.id]) == 1

    def test_signing_out_everywhere_ends_all(self, auth, anna, enter):
        secrets = [enter(anna.email) for _ in range(3)]
        assert identity.sign_out_everywhere(known(secrets[0])) == 3
        assert [known(secret) for secret in secrets] == [None, None, None]
        assert [s for s in auth.sessions.values() if s.user_id == anna.id] == []

    def test_signing_out_works_while_the_service_is_away(self, project, anna, enter):
        secret = enter(anna.email)
        known(secret)
        project.stack.faults.next("/auth/v1/logout", "503")
        identity.sign_out(secret)
        assert known(secret) is None

    def test_nobody_reaches_a_session_without_its_secret(self, anna, enter, cloud):
        secret = enter(anna.email)
        door = cloud.anonymous()
        assert door.call("claim_refresh", p_secret="another", p_seconds_left=10_000) is None
        door.call("store_tokens", p_secret="another", p_tokens="x", p_token_seconds=60)
        assert known(secret).id == anna.id


class TestRenewal:
    def test_tokens_are_renewed_shortly_before_their_end(self, world, auth, anna, enter):
        secret = enter(anna.email)
        known(secret)
        assert auth.refreshes == []
        run_out(world, anna.id, seconds=30)
        known(secret)
        left = "select extract(epoch from tokens_until - now()) from private.sessions where person_id = %s"
        assert 3500 < world.value(left, anna.id) <= 3600
        known(secret)
        assert len(auth.refreshes) == 1

    def test_one_refresh_token_is_never_shown_twice_by_any_number_of_replicas(
        self, world, auth, anna, enter, open_cloud
    ):
        secrets = [enter(anna.email) for _ in range(4)]
        replicas = [CloudAccounts(open_cloud(False)) for _ in range(3)]
        for _ in range(5):
            run_out(world, anna.id, seconds=-1)
            with ThreadPoolExecutor(24) as pool:
                found = [
                    pool.submit(_load, accounts, secret) for accounts in replicas for secret in secrets for _ in (1, 2)
                ]
                assert {token.result() is None for token in found} == {False}
        assert len(auth.refreshes) == len(set(auth.refreshes)) == 5 * len(secrets)

    def test_a_replica_that_died_while_renewing_holds_nobody_up_for_long(self, world, auth, anna, enter, replica):
        secret = enter(anna.email)
        run_out(world, anna.id, seconds=-1)
        sealed = replica.doors.anonymous().call("claim_refresh", p_secret=secret, p_seconds_left=60)
        replica.vendor.refresh(tokens.unseal(SecretStr(SESSION_KEY), secret, sealed).refresh)  # and then it died
        world.execute("update private.sessions set refresh_until = now() - interval '1 second'")  # 15 s later
        assert known(secret).id == anna.id
        assert profiles.my_stores(known(secret).database, anna.account)

    def test_others_go_on_with_the_old_token_while_one_renews(self, world, anna, enter, replica):
        secret = enter(anna.email)
        run_out(world, anna.id, seconds=30)
        assert replica.doors.anonymous().call("claim_refresh", p_secret=secret, p_seconds_left=60)
        assert known(secret).id == anna.id

    def test_a_token_that_ran_out_is_waited_for(self, world, anna, enter, replica, monkeypatch):
        secret = enter(anna.email)
        run_out(world, anna.id, seconds=-1)
        sealed = replica.doors.anonymous().call("claim_refresh", p_secret=secret, p_seconds_left=60)
        waiting = threading.Event()
        pause = time.sleep
        monkeypatch.setattr(cloud_accounts.time, "sleep", lambda seconds: (waiting.set(), pause(seconds)))

        def renew():
            waiting.wait(10)
            replica._renew(secret, sealed, {"token_seconds": -1})

        other = threading.Thread(target=renew)
        other.start()
        assert known(secret).id == anna.id
        other.join()

    def test_whoever_waits_in_vain_is_told_to_wait_and_not_signed_out(self, world, anna, enter, replica, monkeypatch):
        secret = enter(anna.email)
        run_out(world, anna.id, seconds=-1)
        replica.doors.anonymous().call("claim_refresh", p_secret=secret, p_seconds_left=60)
        monkeypatch.setattr(cloud_accounts, "WAIT_SECONDS", 0.5)
        with pytest.raises(Unavailable):
            known(secret)

    @pytest.mark.parametrize("left", [30, -1])
    def test_a_service_that_is_away_signs_nobody_out(self, world, project, anna, enter, left):
        secret = enter(anna.email)
        run_out(world, anna.id, seconds=left)
        project.stack.faults.next("/auth/v1/token", "503")
        if left > 0:
            assert known(secret).id == anna.id
        else:
            with pytest.raises(Unavailable):
                known(secret)
        world.execute("update private.sessions set refresh_until = null")
        assert known(secret).id == anna.id

    def test_a_session_that_the_vendor_ended_is_over(self, world, auth, anna, enter):
        secret = enter(anna.email)
        auth.sessions.clear()
        run_out(world, anna.id, seconds=-1)
        assert known(secret) is None
        assert world.value("select count(*) from private.sessions where person_id = %s", anna.id) == 0

    def test_new_tokens_are_kept_although_the_database_stumbles(self, world, project, anna, enter, monkeypatch):
        monkeypatch.setattr(cloud_accounts.time, "sleep", lambda _: None)
        secret = enter(anna.email)
        run_out(world, anna.id, seconds=-1)
        project.stack.faults.next("/rest/v1/rpc/store_tokens", "503", times=2)
        assert known(secret).id == anna.id


def _load(accounts, secret):
    session = accounts.doors.anonymous().call("load_session", p_secret=secret)
    return accounts.token(secret, session)


class TestPasswords:
    def test_a_new_one_ends_the_other_sessions(self, world, auth, anna, enter):
        here, there = enter(anna.email), enter(anna.email)
        identity.change_password(known(here), here, OTHER, present=PASSWORD)
        assert known(here).id == anna.id
        assert known(there) is None
        assert known(enter(anna.email, OTHER)).id == anna.id
        with pytest.raises(InvalidInput):
            enter(anna.email, PASSWORD)

    @pytest.mark.parametrize(
        ("new", "present", "field"),
        [(OTHER, "wrong", "present"), ("short", PASSWORD, "password"), ("1234567890", PASSWORD, "password"),
         (PASSWORD, PASSWORD, "password")],
    )  # fmt: skip
    def test_what_is_wrong_is_said_beside_its_field(self, anna, enter, new, present, field):
        secret = enter(anna.email)
        with pytest.raises(InvalidInput) as refused:
            identity.change_password(known(secret), secret, new, present=present)
        assert refused.value.field == field
        assert known(secret).id == anna.id

    @pytest.mark.parametrize("fault", ["429", "503", "cut"])
    def test_a_new_one_counts_although_the_service_is_not_told_of_the_other_sessions(self, project, anna, enter, fault):
        here, there = enter(anna.email), enter(anna.email)
        person = known(here)
        assert identity.load(there) is not None
        project.stack.faults.next("/auth/v1/logout", fault)
        identity.change_password(person.model_copy(update={"must_change": True}), here, OTHER)
        assert project.stack.faults.queue == []
        assert identity.load(there) is None
        assert known(enter(anna.email, OTHER)).id == anna.id


# Mails of the worker ----------------------------------------------------------------------------------------------


@pytest.fixture
def admin(world, auth, anna, enter):
    person = world.person(anna.account, "admin", name="Ada")
    email = world.password(person, PASSWORD)
    auth.password(person, PASSWORD)
    return known(enter(email))


@pytest.fixture
def work(cloud, open_cloud, tmp_path, monkeypatch):
    """Run the oldest waiting job as a worker of its own process would."""

    def once(kind):
        doors: CloudDoors = open_cloud(True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("services.database.connect._current", [doors])
            found = doors.worker().call("claim_job", p_worker="hand", p_kinds=[kind], p_lease_seconds=30)
            context = Context(Claimed.model_validate(found), doors.worker(), Folder(tmp_path), kill.options())
            attempt.run(context, HANDLERS[kind])
        return context.job.id

    return once


def invite(admin, anna, email, role="manager", stores=None):
    return people.invite(
        admin, anna.account, name="Nina", email=email, role=role, profile_ids=[anna.store] if stores is None else stores
    )


def member(admin, anna, email):
    return next(m for m in people.of_company(admin.database, anna.account) if m.email == email)


def job(world, job_id):
    return world.rows("select * from public.jobs where id = %s", job_id)[0]


class TestInvitations:
    def test_the_reason_waits_with_the_mail_and_stands_in_the_log(self, world, auth, anna, admin, work):
        email = f"{uuid4()}@example.test"
        values = {"name": "Nina", "email": email, "role": "finance", "profile_ids": []}
        people.invite(admin, anna.account, **values, reason=" Holiday  cover ")
        work("invite")
        query = "select reason from public.audit_log where action = 'person_added' and subject = %s"
        assert world.value(query, email) == "Holiday cover"

    def test_who_is_invited_chooses_a_password_and_works(self, world, auth, anna, admin, work):
        email = f"nina-{uuid4().hex[:6]}@example.test"
        assert invite(admin, anna, email) == Outcome(mailed=True)
        assert member(admin, anna, email).state == "mailing"
        assert job(world, work("invite"))["status"] == "completed"
        ((address, kind, link),) = auth.mails
        assert (address, kind) == (email, "invite")
        assert member(admin, anna, email).state == "invited"
        identity.look_at_link(link, kind)
        secret = identity.accept(link, kind, PASSWORD, address=None, agent="Firefox")
        person = known(secret)
        assert (person.name, person.email, person.must_change) == ("Nina", email, False)
        assert [store.id for store in profiles.my_stores(person.database, anna.account)] == [anna.store]
        assert (member(admin, anna, email).state, member(admin, anna, email).id) == ("active", person.id)
        with pytest.raises(InvalidInput, match="used before"):
            identity.accept(link, kind, PASSWORD, address=None, agent="Firefox")

    def test_a_password_that_is_too_short_leaves_the_link_good(self, auth, anna, admin, work):
        invite(admin, anna, f"{uuid4()}@example.test")
        work("invite")
        link = auth.mails[0][2]
        with pytest.raises(InvalidInput) as refused:
            identity.accept(link, "invite", "short", address=None, agent="")
        assert refused.value.field == "password"
        assert known(identity.accept(link, "invite", PASSWORD, address=None, agent=""))

    def test_a_password_that_the_service_refuses_is_asked_for_again(self, auth, anna, admin, work):
        invite(admin, anna, f"{uuid4()}@example.test")
        work("invite")
        secret = identity.accept(auth.mails[0][2], "invite", "1234567890", address=None, agent="")
        assert known(secret).must_change
        identity.change_password(known(secret), secret, PASSWORD)
        assert not known(secret).must_change

    @pytest.mark.parametrize("path", ["/auth/v1/user", "/rest/v1/rpc/password_changed"])
    @pytest.mark.parametrize("fault", ["429", "503", "cut"])
    def test_a_service_that_falters_after_the_link_was_used_up_lets_in(
        self, project, auth, anna, admin, work, path, fault
    ):
        invite(admin, anna, f"{uuid4()}@example.test")
        work("invite")
        project.stack.faults.next(path, fault, times=10)
        secret = identity.accept(auth.mails[0][2], "invite", PASSWORD, address=None, agent="")
        project.stack.faults.queue.clear()
        assert known(secret).must_change
        identity.change_password(known(secret), secret, OTHER)
        assert not known(secret).must_change

    def test_a_worker_that_died_after_the_mail_sends_no_second_one(self, world, auth, anna, admin, work):
        email = f"{uuid4()}@example.test"
        invite(admin, anna, email)
        auth.user(email, confirmed=False)  # what the dead attempt had the service do
        assert job(world, work("invite"))["status"] == "completed"
        assert auth.mails == []
        assert world.value("select count(*) from public.people where email = %s", email) == 1

    def test_somebody_of_another_company_keeps_their_sign_in(self, world, auth, anna, admin, enter):
        other = world.company("Another")
        person = world.person(other, "finance")
        email = world.password(person, PASSWORD)
        auth.password(person, PASSWORD)
        assert invite(admin, anna, email) == Outcome()
        assert auth.mails == []
        assert {m.account_id for m in known(enter(email)).memberships} == {other, anna.account}

    def test_mails_that_may_not_be_sent_now_are_sent_later(self, world, auth, anna, admin, work):
        invite(admin, anna, f"{uuid4()}@example.test")
        auth.mail_failure = (429, "over_email_send_rate_limit")
        row = job(world, work("invite"))
        assert (row["status"], "as many mails" in row["error"]) == ("pending", True)
        world.execute("delete from public.jobs where id = %s", row["id"])

    def test_one_that_could_not_be_mailed_stays_in_the_list_and_can_be_repeated(self, world, auth, anna, admin, work):
        email = f"{uuid4()}@example.test"
        invite(admin, anna, email)
        auth.mail_failure = (400, "email_address_invalid")
        assert job(world, work("invite"))["status"] == "failed"
        assert member(admin, anna, email).state == "unsent"
        auth.mail_failure = None
        invite(admin, anna, email)
        work("invite")
        assert [m.state for m in people.of_company(admin.database, anna.account) if m.email == email] == ["invited"]

    def test_twice_is_told(self, world, anna, admin, work):
        email = f"{uuid4()}@example.test"
        invite(admin, anna, email)
        with pytest.raises(Conflict, match="under way"):
            invite(admin, anna, email)
        work("invite")
        with pytest.raises(Conflict, match="already exists"):
            invite(admin, anna, email)

    def test_only_an_admin_of_the_company_invites_and_into_its_stores(self, world, anna, admin, enter, auth):
        manager = known(enter(anna.email))
        with pytest.raises(NotAllowed):
            invite(manager, anna, "x@example.test")
        elsewhere = world.store(world.company("Another"))
        with pytest.raises(NotFound):
            invite(admin, anna, "x@example.test", stores=[elsewhere])
        with pytest.raises(NotFound):
            people.invite(admin, uuid4(), name="N", email="x@example.test", role="finance", profile_ids=[])

    def test_withdrawn_its_link_lets_nobody_in(self, auth, anna, admin, work):
        email = f"{uuid4()}@example.test"
        invite(admin, anna, email)
        work("invite")
        found = member(admin, anna, email)
        people.remove(admin.database, anna.account, found.id, found.version, "They left")
        with pytest.raises(SignedOut, match="not active"):
            identity.accept(auth.mails[0][2], "invite", PASSWORD, address=None, agent="")

    @pytest.mark.parametrize("how", ["renewed", "withdrawn and repeated"])
    def test_a_second_mail_lets_in_who_lost_the_first(self, world, auth, anna, admin, work, how):
        email = f"{uuid4()}@example.test"
        invite(admin, anna, email)
        work("invite")
        found = member(admin, anna, email)
        world.execute("update private.invitations set expires_at = now() where person_id = %s", found.id)
        assert member(admin, anna, email).state == "expired"
        if how == "renewed":
            assert people.renew_invitation(admin, anna.account, found.id) == Outcome(mailed=True)
        else:
            people.remove(admin.database, anna.account, found.id, found.version, "They left")
            assert invite(admin, anna, email) == Outcome(mailed=True)
        assert member(admin, anna, email).state == "invited"
        work("password_reset")
        address, kind, link = auth.mails[-1]
        assert address == email
        assert known(identity.accept(link, kind, PASSWORD, address=None, agent="")).id == found.id
        assert member(admin, anna, email).state == "active"


class TestPeople:
    def test_an_admin_has_a_reset_mailed_once_in_ten_minutes(self, auth, anna, admin, enter, work):
        assert people.reset_password(admin, anna.account, anna.id) == Outcome(mailed=True)
        with pytest.raises(Conflict, match="less than ten minutes"):
            people.reset_password(admin, anna.account, anna.id)
        work("password_reset")
        ((address, kind, link),) = auth.mails
        assert (address, kind) == (anna.email, "recovery")
        assert known(identity.accept(link, kind, OTHER, address=None, agent="")).id == anna.id
        assert known(enter(anna.email, OTHER)).id == anna.id

    def test_nobody_hands_links_over_here(self, anna, admin):
        """The sign-in service's own are mailed to whom they are for, of several companies or not."""
        values = {"p_account_id": anna.account, "p_person_id": anna.id, "p_kind": "recovery"}
        with pytest.raises(NotAllowed, match="mailed by the sign-in service"):
            admin.database.call("send_link", **values, p_token_hash="0" * 64)

    def test_the_list_tells_the_last_sign_in(self, anna, admin, enter):
        assert member(admin, anna, anna.email).signed_in_at is None
        enter(anna.email)
        assert member(admin, anna, anna.email).signed_in_at

    def test_a_change_counts_for_tokens_that_are_still_good(self, world, anna, admin, enter):
        hill = world.store(anna.account, "Hill")
        person = known(enter(anna.email))
        people.change(
            admin.database, anna.account, anna.id, role="manager", profile_ids=[anna.store, hill], version=1,
            reason="More to do",
        )  # fmt: skip
        assert {store.id for store in profiles.my_stores(person.database, anna.account)} == {anna.store, hill}
        people.change(
            admin.database, anna.account, anna.id, role="finance", profile_ids=[], version=2, reason="More to do"
        )
        assert member(admin, anna, anna.email).role == "finance"
        with pytest.raises(Conflict, match="Somebody saved this meanwhile"):
            people.deactivate(admin.database, anna.account, anna.id, 1, "They left")

    @pytest.mark.parametrize("end", [people.deactivate, people.remove])
    def test_who_is_let_go_is_out_with_every_token(self, anna, admin, enter, end):
        secret = enter(anna.email)
        person = known(secret)
        end(admin.database, anna.account, anna.id, 1, "They left")
        assert profiles.my_stores(person.database, anna.account) == []
        assert known(secret) is None
        with pytest.raises(SignedOut, match="not active"):
            enter(anna.email)

    def test_signing_somebody_out_takes_their_tokens(self, anna, admin, enter):
        secrets = [enter(anna.email) for _ in range(2)]
        assert people.sign_out(admin.database, anna.account, anna.id) == 2
        assert [known(secret) for secret in secrets] == [None, None]
        assert known(enter(anna.email)).id == anna.id

    def test_of_two_admins_who_end_each_other_at_once_one_stays(self, world, anna, admin, auth, enter):
        bob = world.person(anna.account, "admin", name="Bob")
        email = world.password(bob, PASSWORD)
        auth.password(bob, PASSWORD)
        other, ready = known(enter(email)), threading.Barrier(2)

        def end(asker, target):
            ready.wait(10)
            try:
                people.change(
                    asker.database, anna.account, target, role="finance", profile_ids=[], version=1, reason="More to do"
                )
            except (NotAllowed, NotFound) as exc:
                return exc

        with ThreadPoolExecutor(2) as pool:
            results = [pool.submit(end, admin, bob), pool.submit(end, other, admin.id)]
            assert [result.result() is None for result in results].count(True) == 1


class TestForgotten:
    def test_a_mailed_link_sets_a_new_password(self, auth, anna, enter, work):
        identity.forgot(anna.email.upper(), "10.1.1.1")
        work("password_reset")
        ((address, kind, link),) = auth.mails
        assert (address, kind) == (anna.email, "recovery")
        assert known(identity.accept(link, kind, OTHER, address=None, agent="")).id == anna.id
        assert known(enter(anna.email, OTHER)).id == anna.id

    def test_nobody_learns_whether_an_address_is_known(self, world, anna, cloud):
        before = world.value("select count(*) from public.jobs where kind = 'password_reset'")
        assert identity.forgot("nobody@example.test", "10.1.1.2") is None
        assert world.value("select count(*) from public.jobs where kind = 'password_reset'") == before

    def test_one_mail_in_ten_minutes(self, world, anna, cloud):
        for _ in range(3):
            identity.forgot(anna.email, "10.1.1.3")
        query = "select count(*) from public.jobs where kind = 'password_reset' and input ->> 'email' = %s"
        assert world.value(query, anna.email) == 1

    @pytest.mark.parametrize("end", [people.deactivate, people.remove])
    def test_who_was_let_go_gets_none_unless_another_company_keeps_them(self, world, anna, admin, end):
        query = "select count(*) from public.jobs where kind = 'password_reset' and input ->> 'email' = %s"
        end(admin.database, anna.account, anna.id, 1, "They left")
        assert identity.forgot(anna.email, "10.1.1.4") is None
        assert world.value(query, anna.email) == 0
        world.insert("public.members", account_id=world.company("Another"), person_id=anna.id, role="finance")
        identity.forgot(anna.email, "10.1.1.4")
        assert world.value(query, anna.email) == 1

    def test_the_log_of_each_company_says_who_and_from_where(self, world, anna, cloud):
        other, left = world.company("Another"), world.company("Left")
        world.insert("public.members", account_id=other, person_id=anna.id, role="finance")
        stopped = {"role": "finance", "deactivated_at": datetime.now(UTC)}
        world.insert("public.members", account_id=left, person_id=anna.id, **stopped)
        identity.forgot(anna.email, "10.1.1.5")
        rows = world.rows(
            "select account_id, person_id, subject, host(address::inet) as address from public.audit_log"
            " where action = 'password_reset_requested' and person_id = %s", anna.id,
        )  # fmt: skip
        assert {row["account_id"] for row in rows} == {anna.account, other}
        assert {(row["person_id"], row["subject"], row["address"]) for row in rows} == {
            (anna.id, anna.email, "10.1.1.5")
        }

    @pytest.mark.parametrize(("link", "kind"), [("x" * 56, "recovery"), ("", "recovery"), ("x" * 56, "magic")])
    def test_a_link_that_is_none_is_refused(self, cloud, link, kind):
        with pytest.raises(InvalidInput):
            identity.accept(link, kind, PASSWORD, address=None, agent="")


def test_the_app_without_the_secret_key_can_do_no_more_than_people_may(cloud, anna):
    assert not cloud.works
    with pytest.raises(Unavailable, match="no worker"):
        cloud.worker()
    with pytest.raises(NotAllowed):
        cloud.anonymous().call("claim_job", p_worker="x", p_kinds=["speech"], p_lease_seconds=30)
    with pytest.raises(SignedOut):
        cloud.person(UUID(int=0))
