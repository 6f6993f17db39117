"""Settings: documented each, read from the environment or the secrets file, refused with a sentence that names them."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import config
from services.config import ROOT, Settings, settings
from services.errors import SettingsInvalid

NAMES = [name.upper() for name in Settings.model_fields]
APP = "postgresql://clipdesk_app:hunter2@db/clipdesk"


@pytest.fixture(autouse=True)
def secrets_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Nothing is set; the file's place is the test's own."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "secrets.toml"
    monkeypatch.setattr(config, "SECRETS", file)
    settings.cache_clear()
    yield file
    settings.cache_clear()


# Documentation ----------------------------------------------------------------------------------------------


def test_the_manual_lists_every_setting_with_its_default_and_meaning() -> None:
    manual = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    table = manual.split("| setting | default | what it does |\n|---|---|---|\n")[1].split("\n\n")[0]
    wanted = [f"| `{name}` | {default(name)} | {description(name)} |" for name in NAMES]
    assert table.splitlines() == wanted


def description(name: str) -> str:
    told = Settings.model_fields[name.lower()].description or ""
    assert told.endswith("."), f"{name} has no description"
    return told


def default(name: str) -> str:
    if name == "CLIPDESK_DATA":
        return "see above"
    value = Settings.model_fields[name.lower()].default
    return "" if value is None else str(value).lower()


# Sources ----------------------------------------------------------------------------------------------------


def test_without_anything_the_embedded_way_is_complete() -> None:
    found = settings()
    assert (found.embedded, found.worker_inside, found.setup_code) == (True, True, None)
    assert found.media_folder == found.clipdesk_data / "media"
    assert found.spool_folder == found.clipdesk_data / "spool"
    assert (found.elevenlabs_api_key, found.elevenlabs_url, found.kokoro_model) == (None, None, None)


@pytest.mark.parametrize("blanks", [" ", "\t \n"])
def test_a_key_is_cut_of_the_blanks_it_was_pasted_with(blanks: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVENLABS_API_KEY", f"{blanks}sk_hunter2{blanks}")
    assert settings().elevenlabs_api_key == "sk_hunter2"
    settings.cache_clear()
    monkeypatch.setenv("ELEVENLABS_API_KEY", blanks)
    assert settings().elevenlabs_api_key is None


def test_the_secrets_file_is_read_in_any_case(secrets_file: Path) -> None:
    secrets_file.write_text(f'DATABASE_URL = "{APP}"\nworker_threads = 3\nCookie_Secure = true\n[other]\nx = 1\n')
    found = settings()
    assert (found.database_url, found.worker_threads, found.cookie_secure) == (APP, 3, True)
    assert not found.embedded


def test_the_environment_wins_over_the_file(secrets_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets_file.write_text('worker_threads = 3\nlog_level = "error"')
    monkeypatch.setenv("WORKER_THREADS", "4")
    assert (settings().worker_threads, settings().log_level) == (4, "error")


def test_empty_means_unset_in_both(secrets_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets_file.write_text('DATABASE_URL = ""\nSETUP_CODE = ""\nSESSION_HOURS = ""')
    monkeypatch.setenv("WORKER_THREADS", "")
    found = settings()
    assert (found.embedded, found.setup_code, found.session_hours, found.worker_threads) == (True, None, 12, 2)


def test_names_that_are_not_ours_are_left_alone(secrets_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets_file.write_text('anything = "else"')
    monkeypatch.setenv("CLIPDESK_ANYTHING", "else")
    assert settings() == Settings()


def test_a_process_reads_its_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings()
    monkeypatch.setenv("WORKER_THREADS", "4")
    assert settings() is before


# Refusals ---------------------------------------------------------------------------------------------------


def older_key(role: str) -> str:
    """A key of the kind that is a signed token; its signature is nobody's."""
    parts = (b'{"alg":"HS256"}', f'{{"role":"{role}","ref":"hunter2"}}'.encode(), b"signature")
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def vault_key(prefix: str) -> str:
    return prefix + urlsafe_b64encode(b"hunter2".ljust(32)).decode()


WRONG = [
    ("DATABASE_URL", "mysql://root:hunter2@db"), ("DATABASE_URL", "db.example.test"),
    ("DATABASE_URL", "postgresql://clipdesk_app:hunter2%zz@db/x"),
    ("DATABASE_WORKER_URL", "host=db password=hunter2"), ("DATABASE_ADMIN_URL", "http://hunter2@db"),
    ("COOKIE_SECURE", "perhaps"), ("WORKER_INSIDE", "2"), ("SESSION_HOURS", "0"), ("SESSION_HOURS", "721"),
    ("SESSION_HOURS", "half"), ("SETUP_CODE", "hunter2"), ("WORKER_THREADS", "0"), ("WORKER_THREADS", "5"),
    ("WORKER_THREADS", "1.5"), ("JOB_LEASE_SECONDS", "0"), ("JOB_LEASE_SECONDS", "3601"),
    ("JOB_LEASE_SECONDS", "nan"), ("JOB_POLL_SECONDS", "-1"), ("JOB_POLL_SECONDS", "61"), ("SWEEP_HOURS", "-0.1"),
    ("SWEEP_HOURS", "inf"), ("LOG_LEVEL", "loud"), ("ELEVENLABS_API_KEY", "hunter2\nx"),
    ("ELEVENLABS_API_KEY", "hunter2 ключ"), ("ELEVENLABS_URL", "ftp://hunter2"), ("ELEVENLABS_SECONDS", "0"),
    ("UPLOAD_MB", "0"), ("UPLOAD_MB", "1025"), ("UPLOADS_AT_ONCE", "0"), ("UPLOADS_AT_ONCE", "17"),
    ("POSTIZ_API_URL", "ftp://hunter2"), ("POSTIZ_API_KEY", "hunter2\nx"), ("POSTIZ_API_KEY", "hunter2 ключ"),
    ("GEMINI_URL", "ftp://hunter2"), ("ALLOW_PRIVATE_ADDRESSES", "perhaps"), ("ELEVENLABS_SECONDS", "601"),
    ("ELEVENLABS_SECONDS", "soon"), ("ENGINE_SECONDS", "0"), ("ENGINE_SECONDS", "3601"),
    ("SUPABASE_URL", "ftp://hunter2"), ("SUPABASE_SECONDS", "0"), ("SUPABASE_SECONDS", "121"),
    ("SUPABASE_PUBLISHABLE_KEY", "sb_secret_hunter2"), ("SUPABASE_PUBLISHABLE_KEY", older_key("service_role")),
    ("SUPABASE_SECRET_KEY", "sb_publishable_hunter2"), ("SUPABASE_SECRET_KEY", older_key("anon")),
    ("SUPABASE_SECRET_KEY", "hunter2\nx"),
    ("SMTP_HOST", "smtp://hunter2@mail"), ("SMTP_PORT", "0"), ("SMTP_PORT", "65536"), ("SMTP_SECURITY", "ssl"),
    ("SMTP_USER", "hunter2\nx"), ("SMTP_PASSWORD", "hunter2\nx"), ("SMTP_FROM", "hunter2"),
    ("SMTP_USER", "hunter2é"), ("SMTP_PASSWORD", "hunter2é"), ("SMTP_FROM", "hunter2é@example.com"),
    ("SMTP_FROM", "hunter2 <a@b>\nBcc: c@d"), ("SITE_URL", "ftp://hunter2"),
    ("VAULT_PUBLIC_KEY", "vaultpub_hunter2"), ("VAULT_PUBLIC_KEY", vault_key("vaultkey_")),
    ("VAULT_KEYS", f"{vault_key('vaultkey_')},hunter2"), ("VAULT_KEYS", vault_key("vaultpub_")),
    ("SESSION_KEY", "hunter2"), ("SESSION_KEY", b64encode(b"x" * 31).decode()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_stops_the_start_with_a_sentence_that_names_it(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as caught:
        settings()
    assert str(caught.value).startswith(f"Setting {name}: ")
    assert "hunter2" not in str(caught.value), "a secret in a sentence"


def test_every_setting_that_can_be_wrong_is_tried() -> None:
    paths = {"CLIPDESK_DATA", "MEDIA_DIR", "SPOOL_DIR", "KOKORO_MODEL", "KOKORO_VOICES"}  # any text is one
    anything_goes = paths | {"COQUI_MODEL"}  # who opens it tells what is wrong with it
    assert {name for name, _ in WRONG} | anything_goes == set(NAMES)


@pytest.mark.parametrize("name", ["POSTIZ_API_URL", "POSTIZ_API_KEY"])
def test_one_half_of_postiz_pair_stops_the_start(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "https://hunter2.example.com")
    with pytest.raises(SettingsInvalid, match="POSTIZ_API_URL and POSTIZ_API_KEY belong together"):
        settings()
    monkeypatch.setenv("POSTIZ_API_URL", "https://postiz.example.com/api/")
    monkeypatch.setenv("POSTIZ_API_KEY", " hunter2 ")
    found = settings()
    assert found.postiz_api_url == "https://postiz.example.com/api"
    assert found.postiz_api_key is not None
    assert found.postiz_api_key.get_secret_value() == "hunter2"


def test_each_wrong_setting_has_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_THREADS", "9")
    monkeypatch.setenv("LOG_LEVEL", "loud")
    with pytest.raises(SettingsInvalid, match=r"Setting WORKER_THREADS: .*\. Setting LOG_LEVEL: .*\."):
        settings()


def test_a_wrong_value_in_the_file_is_named_as_well(secrets_file: Path) -> None:
    secrets_file.write_text("worker_threads = 9")
    with pytest.raises(SettingsInvalid, match="Setting WORKER_THREADS"):
        settings()


def test_a_worker_s_address_needs_the_app_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_WORKER_URL", APP)
    with pytest.raises(SettingsInvalid, match="DATABASE_WORKER_URL is set but DATABASE_URL is not"):
        settings()
    settings.cache_clear()
    monkeypatch.setenv("DATABASE_URL", APP)
    assert settings().database_worker_url == APP


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"SMTP_HOST": "mail.example.com"}, "SMTP_FROM is not"),
        ({"SMTP_USER": "desk"}, "belong together"),
        ({"SMTP_USER": "desk", "SMTP_PASSWORD": "hunter2", "SMTP_SECURITY": "none"}, "SMTP_SECURITY is none"),
    ],
)
def test_settings_of_a_mail_server_belong_together(
    given: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=sentence) as caught:
        settings()
    assert "hunter2" not in str(caught.value)


PROJECT = {"SUPABASE_URL": "https://abc.supabase.co/", "SUPABASE_PUBLISHABLE_KEY": "sb_publishable_x"}


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"SUPABASE_URL": "https://abc.supabase.co"}, "SUPABASE_PUBLISHABLE_KEY is not"),
        ({"SUPABASE_SECRET_KEY": "sb_secret_x"}, "SUPABASE_URL is not"),
        ({**PROJECT, "DATABASE_URL": APP}, "are both set"),
    ],
)
def test_settings_of_a_project_belong_together(
    given: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=sentence):
        settings()


@pytest.mark.parametrize("secret", ["sb_secret_x", older_key("service_role")])
def test_a_project_is_neither_embedded_nor_a_postgres(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**PROJECT, "SUPABASE_SECRET_KEY": f" {secret}\n"}.items():
        monkeypatch.setenv(name, value)
    found = settings()
    assert (found.cloud, found.embedded, found.supabase_url) == (True, False, "https://abc.supabase.co")
    assert found.supabase_secret_key is not None
    assert found.supabase_secret_key.get_secret_value() == secret
    assert secret not in repr(found)


@pytest.mark.parametrize("content", [b"worker_threads = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_broken_file_is_named(secrets_file: Path, content: bytes) -> None:
    secrets_file.write_bytes(content)
    with pytest.raises(SettingsInvalid, match=r"secrets\.toml is not valid TOML"):
        settings()


# Folders ----------------------------------------------------------------------------------------------------


def test_folders_are_absolute_and_know_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLIPDESK_DATA", "~/desk")
    assert settings().clipdesk_data == tmp_path / "desk"
    assert settings().media_folder == tmp_path / "desk" / "media"
    settings.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDIA_DIR", "shared")
    monkeypatch.setenv("SPOOL_DIR", "kept")
    assert settings().media_folder == tmp_path / "shared"
    assert settings().spool_folder == tmp_path / "kept"


def test_root_s_default_folder_is_one_that_other_accounts_reach(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(config.os, "geteuid", lambda: 0)
    assert settings().clipdesk_data == Path("/var/lib/clipdesk")
    settings.cache_clear()
    monkeypatch.setattr(config.os, "geteuid", lambda: 1000)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings().clipdesk_data == tmp_path / ".local" / "share" / "clipdesk"
    settings.cache_clear()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert settings().clipdesk_data == tmp_path / "xdg" / "clipdesk"
