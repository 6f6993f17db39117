"""The doctor says what is wrong and what to do; the first admin's command makes a company that can be used."""

import io
import sys
from datetime import UTC, datetime, timedelta

import pytest

from services import doctor, first_admin, identity, logs, vault
from services.config import settings
from services.database import connect
from services.database.migrate import migrations
from services.speech import registry
from tests.accounts.conftest import PASSWORD


class AsIs:
    """The test's doors are open already."""

    def __enter__(self):
        return None

    def __exit__(self, *_):
        return None


COMPANY = ["--company", "Harbour Bakery", "--store", "Quay", "--code", "001", "--timezone", "Europe/London",
           "--name", "Ada", "--email", "ada@example.test"]  # fmt: skip


@pytest.fixture(autouse=True)
def _no_voices(monkeypatch):
    """Voices have tests of their own, and some would go out to the network."""
    monkeypatch.setattr(registry, "providers", list)


def findings(opened):
    return {finding.subject: finding for finding in doctor.examine(settings(), opened)}


def wrong(opened):
    return {subject: finding.advice for subject, finding in findings(opened).items() if finding.advice}


class TestLocal:
    def test_finds_nothing_where_all_is_well(self, desk):
        desk.company()
        assert wrong(desk.doors) == {}

    def test_says_how_to_make_the_first_company(self, desk):
        assert "services.first_admin" in wrong(desk.doors)["Company"]

    @pytest.mark.parametrize(
        ("spoil", "subject", "advice"),
        [
            ("alter table public.clips disable row level security", "Row security", "Restore"),
            ("grant select on public.people to anon", "Tables", "Revoke"),
            ("grant execute on function public.tidy() to anon", "Functions", "Revoke"),
            ("revoke select on public.jobs from service_role", "Grants", "service_role"),
            ("insert into public.jobs (id, kind, request_id, run_after) select x, 'tidy', x, now() - interval '1 hour'"
             " from (select gen_random_uuid() as x) y", "Worker", "Start a worker"),
        ],
    )  # fmt: skip
    def test_names_what_is_wrong_and_the_way_out(self, desk, spoil, subject, advice):
        desk.company()
        desk.execute(spoil)
        assert list(wrong(desk.doors)) == [subject]
        assert advice in wrong(desk.doors)[subject]

    def test_a_migration_in_the_middle_that_is_missing(self, desk):
        middle = migrations()[3].version
        desk.execute("delete from supabase_migrations.schema_migrations where version = %s", middle)
        found = findings(desk.doors)["Migrations"]
        assert found.found == f"{middle} is missing although later ones are there"

    def test_a_database_that_is_newer(self, desk):
        desk.execute("insert into supabase_migrations.schema_migrations (version) values ('20990101000000')")
        assert "newer program" in wrong(desk.doors)["Migrations"]

    @pytest.mark.parametrize(("seconds", "says"), [(3, ""), (30, "NTP"), (-90, "NTP")])
    def test_clocks_that_differ(self, seconds, says):
        told = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        assert says in doctor._clock(told).advice
        assert bool(doctor._clock(told).advice) == bool(says)

    def test_a_pooler_in_the_wrong_mode(self, desk, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "postgresql://clipdesk_app:x@pooler.example.test:6543/postgres")
        settings.cache_clear()
        assert "session pooler" in doctor._address(settings()).advice

    def test_a_spool_that_cannot_be_written(self, desk, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("SPOOL_DIR", str(tmp_path / "file" / "spool"))
        settings.cache_clear()
        assert "SPOOL_DIR" in wrong(desk.doors)["Spool"]

    def test_the_vault_s_key_is_named_once_it_is_in_force(self, desk):
        desk.company()
        assert "not in force before a worker starts" in findings(desk.doors)["Vault"].found
        vault.note(desk.as_worker(), settings())
        mark = vault.fingerprint(vault.public_key(settings()))
        assert findings(desk.doors)["Vault"] == doctor.Finding("Vault", f"key {mark} is in force")

    def test_a_newer_key_of_the_vault_waits_for_its_rotation(self, desk):
        vault.note(desk.as_worker(), settings())
        assert vault.main(["new-key"]) == 0
        assert "services.vault rotate" in wrong(desk.doors)["Vault"]

    def test_a_key_in_force_that_this_worker_does_not_have(self, desk, tmp_path):
        vault.note(desk.as_worker(), settings())
        (tmp_path / "vault" / "private").unlink()
        assert "VAULT_KEYS" in wrong(desk.doors)["Vault"]

    def test_two_settings_of_the_vault_that_do_not_fit(self, desk, monkeypatch, capsys):
        monkeypatch.setenv("DATABASE_URL", "postgresql://clipdesk_app@db/clipdesk")
        settings.cache_clear()
        for name in ("VAULT_PUBLIC_KEY", "VAULT_KEYS"):
            vault.main(["new-key"])
            printed = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines()[:2])
            monkeypatch.setenv(name, printed[name])
        settings.cache_clear()
        assert "another pair" in doctor._vault(settings(), desk.doors).found

    @pytest.mark.parametrize("needed", [False, True])
    def test_without_a_vault_only_those_who_need_one_are_told(self, desk, monkeypatch, needed):
        if needed:
            vault.note(desk.as_worker(), settings())
        monkeypatch.setenv("DATABASE_URL", "postgresql://clipdesk_app@db/clipdesk")
        settings.cache_clear()
        assert bool(doctor._vault(settings(), desk.doors).advice) is needed

    def test_without_a_vault_it_says_what_is_missing_and_where_to_set_it(self, desk, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "postgresql://clipdesk_app@db/clipdesk")
        settings.cache_clear()
        assert "VAULT_KEYS on the worker and VAULT_PUBLIC_KEY on the app" in doctor._vault(settings(), desk.doors).found

    def test_an_app_that_seals_for_a_worker_without_keys_is_put_right(self, desk, monkeypatch, capsys):
        monkeypatch.setenv("DATABASE_URL", "postgresql://clipdesk_app@db/clipdesk")
        settings.cache_clear()
        vault.main(["new-key"])
        printed = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines()[:2])
        monkeypatch.setenv("VAULT_PUBLIC_KEY", printed["VAULT_PUBLIC_KEY"])
        settings.cache_clear()
        assert "Set VAULT_KEYS where the worker runs" in doctor._vault(settings(), desk.doors).advice

    def test_without_the_workers_login_it_says_where_to_run(self, desk):
        apps = connect.Doors(desk.doors.app_pool, None)
        assert "where the worker runs" in wrong(apps)["Worker"]

    def test_the_report_ends_with_what_is_to_be_done(self, capsys):
        good, bad = doctor.Finding("Clock", "fine"), doctor.Finding("Spool", "no room", "Free some.")
        assert doctor._report(iter([good])) == 0
        assert doctor._report(iter([good, bad])) == 1
        assert capsys.readouterr().out.endswith("FIX  Spool: no room. Free some.\n1 to be done.\n")


class TestFirstAdmin:
    @pytest.fixture
    def typed(self, monkeypatch):
        """The installation of the test in place of the settings' one, and a password that is piped in."""

        def prepare(opened, password=PASSWORD):
            monkeypatch.setattr(connect, "_current", [opened])
            monkeypatch.setattr(first_admin, "process_doors", AsIs)
            monkeypatch.setattr(logs, "configure", lambda level: None)  # this process's log is the tests'
            monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))

        return prepare

    def test_makes_a_company_whose_admin_signs_in(self, desk, typed, capsys):
        typed(desk.doors)
        assert first_admin.main(COMPANY) == 0
        assert "ada@example.test can sign in" in capsys.readouterr().out
        secret = identity.sign_in("ada@example.test", PASSWORD, address=None, agent="")
        assert [m.role for m in identity.load(secret).memberships] == ["admin"]
        typed(desk.doors)
        assert first_admin.main(COMPANY) == 1
        assert "already has a company" in capsys.readouterr().err

    def test_a_bad_password_or_a_missing_name_makes_nothing(self, desk, typed, capsys):
        typed(desk.doors, password="short")
        assert first_admin.main(COMPANY) == 1
        assert "10 to 200 characters" in capsys.readouterr().err
        assert desk.value("select count(*) from public.accounts") == 0
        with pytest.raises(SystemExit):
            first_admin.main(COMPANY[:-2])
