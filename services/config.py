"""Every setting of Clipdesk, in one typed class. Sources: the environment, then `.streamlit/secrets.toml`."""

import json
import os
import re
import tomllib
from base64 import b64decode, urlsafe_b64decode
from email.utils import parseaddr
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from services.errors import SettingsInvalid

ROOT = Path(__file__).resolve().parents[1]
VAULT_PUBLIC, VAULT_PRIVATE = "vaultpub_", "vaultkey_"  # so that the two are not taken for each other
VAULT_ADVICE = "`python -m services.vault new-key` prints a pair"
SECRETS = ROOT / ".streamlit" / "secrets.toml"


def default_data_folder() -> Path:
    """Where data goes when nothing is set. Root gets a system path: the server's account must reach it."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/clipdesk")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "clipdesk"


class Settings(BaseSettings):
    """Each field's name in capitals is the setting's name; its description stands in docs/deploy.md."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    clipdesk_data: Path = Field(
        default_factory=default_data_folder,
        description="Folder of the embedded database and the media.",
    )
    media_dir: Path | None = Field(
        None,
        description="Folder of the media, shared by all machines. Default: `media` in the data folder.",
    )
    database_url: str | None = Field(
        None,
        description="Postgres address of the login clipdesk_app. Unset: embedded database.",
    )
    database_worker_url: str | None = Field(
        None,
        description="Postgres address of the login clipdesk_worker. In the app's settings: worker inside.",
    )
    database_admin_url: str | None = Field(
        None,
        description="Postgres address that may migrate; read only by `python -m services.database.migrate`.",
    )
    supabase_url: str | None = Field(
        None,
        description="Address of the Supabase project, such as https://abc.supabase.co. Set: everything lives there.",
    )
    supabase_publishable_key: SecretStr | None = Field(
        None, description="The project's publishable key (or the older anon key), with which the app asks for people."
    )
    supabase_secret_key: SecretStr | None = Field(
        None,
        description="The project's secret key (or the older service_role key): the worker's. In the app's settings: "
        "worker inside.",
    )
    supabase_seconds: float = Field(20, gt=0, le=120, description="Seconds after which Supabase's answer is given up.")
    session_key: SecretStr | None = Field(
        None,
        description="32 random bytes in base64, the same on each replica: seals Supabase's tokens in the sessions.",
    )
    vault_public_key: str | None = Field(
        None,
        description="The vault's newest public key (`vaultpub_…`): the app seals credentials with it. Embedded: made "
        "in the data folder.",
    )
    vault_keys: SecretStr | None = Field(
        None,
        description="The vault's private keys (`vaultkey_…`), newest first: the worker opens credentials with them. "
        "Embedded: made in the data folder.",
    )
    cookie_secure: bool = Field(False, description="`true` behind TLS: the session cookie is sent over https only.")
    session_hours: int = Field(12, ge=1, le=720, description="Hours until a sign-in expires, counted from the sign-in.")
    setup_code: str | None = Field(
        None,
        min_length=8,
        description="Code for the first-admin form, the same on each replica. Unset: printed in the log.",
    )
    worker_inside: bool = Field(True, description="`false`: the app runs no worker of its own.")
    worker_threads: int = Field(2, ge=1, le=4, description="Jobs a worker process runs at once.")
    job_lease_seconds: float = Field(30, gt=0, le=3600, description="Seconds after which a silent job is taken over.")
    job_poll_seconds: float = Field(
        1, gt=0, le=60, description="Seconds between looks for work; grows to five times that while idle."
    )
    sweep_hours: float = Field(24, ge=0, le=8760, description="Hours after which a file that no row names is deleted.")
    upload_mb: int = Field(300, ge=1, le=1024, description="Megabytes (of 2^20 bytes) an uploaded clip may have.")
    uploads_at_once: int = Field(
        2, ge=1, le=16, description="Uploads an app process hands to the media store at once; others wait on its disk."
    )
    spool_dir: Path | None = Field(
        None,
        description="Folder that keeps bought audio until the database has it. Default: `spool` in the data folder.",
    )
    elevenlabs_api_key: str | None = Field(
        None,
        description="Key of the company's ElevenLabs account; used by the worker while there is one company.",
    )
    elevenlabs_url: str | None = Field(
        None, description="Address of the ElevenLabs API. Unset: the vendor's own; another for data residency."
    )
    elevenlabs_seconds: float = Field(
        60, gt=0, le=600, description="Seconds after which a call's answer counts as lost."
    )
    gemini_url: str | None = Field(None, description="Address of the Gemini API. Unset: the vendor's own.")
    postiz_api_url: str | None = Field(
        None,
        description="Address of the company's Postiz, such as https://postiz.example.com/api; used while there is one "
        "company, and that has typed none.",
    )
    postiz_api_key: SecretStr | None = Field(
        None, description="Its API key (Postiz: Settings, Developers, Public API); only with `POSTIZ_API_URL`."
    )
    allow_private_addresses: bool = Field(
        False, description="`true`: vendor addresses may lie in private networks, for self-hosted services."
    )
    kokoro_model: Path | None = Field(
        None, description="The model file of the Kokoro voices, such as kokoro-v1.0.onnx."
    )
    kokoro_voices: Path | None = Field(None, description="The voices file of Kokoro, such as voices-v1.0.bin.")
    coqui_model: str = Field(
        "tts_models/en/ljspeech/vits",
        description="Coqui's model; only those with an Apache or MIT licence are allowed.",
    )
    engine_seconds: float = Field(
        120, gt=0, le=3600, description="Seconds a local voice engine may take for a passage."
    )
    smtp_host: str | None = Field(None, description="The mail server, such as smtp.example.com. Unset: no e-mail.")
    smtp_port: int | None = Field(
        None, ge=1, le=65_535, description="Its port. Default: 587; with `SMTP_SECURITY` tls 465, with none 25."
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the way to it is encrypted; none only without a password."
    )
    smtp_user: str | None = Field(None, description="Name to sign in with at the mail server.")
    smtp_password: SecretStr | None = Field(None, description="Password to sign in with at the mail server.")
    smtp_from: str | None = Field(
        None, description="Sender of e-mails, such as Clipdesk <desk@example.com>. Needed with `SMTP_HOST`."
    )
    site_url: str | None = Field(
        None, description="Address at which people open Clipdesk, for links in e-mails and webhooks."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line that is written."
    )

    @field_validator("elevenlabs_api_key")
    @classmethod
    def _header(cls, value: str | None) -> str | None:
        """Keys travel in a header: a pasted newline or a letter outside ASCII would fail far from here."""
        value = (value or "").strip() or None
        if value and not (value.isascii() and value.isprintable()):
            raise ValueError("has characters that no key has; copy it again")
        return value

    @field_validator("postiz_api_key")
    @classmethod
    def _secret_header(cls, value: SecretStr | None) -> SecretStr | None:
        key = cls._header(value.get_secret_value()) if value else None
        return SecretStr(key) if key else None

    @field_validator("elevenlabs_url", "gemini_url", "postiz_api_url", "supabase_url", "site_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("must begin with https://")
        return value.rstrip("/") if value else None

    @field_validator("clipdesk_data", "media_dir", "spool_dir", "kokoro_model", "kokoro_voices")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value else None

    @field_validator("database_url", "database_worker_url", "database_admin_url")
    @classmethod
    def _postgres(cls, value: str | None) -> str | None:
        if value and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        try:
            conninfo_to_dict(value or "")
        except ProgrammingError:  # its own text would quote the password
            raise ValueError("is no Postgres address; write special characters of a password as %XX") from None
        return value

    @field_validator("supabase_publishable_key", "supabase_secret_key")
    @classmethod
    def _supabase_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        """The two are told apart by their prefix; older ones, which are signed tokens, by the role in them."""
        key = cls._header(value.get_secret_value()) if value else None
        if key is None:
            return None
        secret = info.field_name == "supabase_secret_key"
        if _role_of_key(key) == ("anon" if secret else "service_role"):
            raise ValueError(f"is the {'publishable' if secret else 'secret'} key; the two were swapped")
        return SecretStr(key)

    @field_validator("smtp_host")
    @classmethod
    def _host(cls, value: str | None) -> str | None:
        if value and not re.fullmatch(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+", value):
            raise ValueError("is the server's name alone, such as smtp.example.com; its port is SMTP_PORT")
        return value

    @field_validator("smtp_user", "smtp_password")
    @classmethod
    def _one_line(cls, value: str | SecretStr | None) -> str | SecretStr | None:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if text and not text.isprintable():
            raise ValueError("has a line break or an invisible character inside; copy it again")
        if text and not text.isascii():
            raise ValueError("may hold ASCII letters, digits and signs only; set another at the mail server")
        return value

    @field_validator("smtp_from")
    @classmethod
    def _sender(cls, value: str | None) -> str | None:
        address = parseaddr(value or "")[1]
        good = address.isascii() and re.fullmatch(r"[^@\s,;]+@[^@\s,;]+", address)
        if value and not (good and value.isprintable()):
            raise ValueError("must be an e-mail address, such as Clipdesk <desk@example.com>")
        return value

    @field_validator("session_key")
    @classmethod
    def _thirty_two_bytes(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            good = value is None or len(b64decode(value.get_secret_value(), validate=True)) == 32
        except ValueError:
            good = False
        if not good:
            raise ValueError("must be 32 bytes in base64, such as `openssl rand -base64 32` prints")
        return value

    @field_validator("vault_public_key")
    @classmethod
    def _vault_public(cls, value: str | None) -> str | None:
        if value and not _is_vault_key(value.strip(), VAULT_PUBLIC):
            raise ValueError(f"must be one key that begins with {VAULT_PUBLIC}; {VAULT_ADVICE}")
        return value.strip() if value else None

    @field_validator("vault_keys")
    @classmethod
    def _vault_private(cls, value: SecretStr | None) -> SecretStr | None:
        keys = split_keys(value)
        if not all(_is_vault_key(key, VAULT_PRIVATE) for key in keys):
            raise ValueError(f"must be keys that begin with {VAULT_PRIVATE}, newest first; {VAULT_ADVICE}")
        return value if keys else None

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if self.database_worker_url and not self.database_url:
            raise ValueError("DATABASE_WORKER_URL is set but DATABASE_URL is not")
        if self.supabase_url and self.database_url:
            raise ValueError("SUPABASE_URL and DATABASE_URL are both set; keep the one that is meant")
        if self.supabase_url and self.supabase_publishable_key is None:
            raise ValueError("SUPABASE_URL is set but SUPABASE_PUBLISHABLE_KEY is not")
        if self.supabase_secret_key and not self.supabase_url:
            raise ValueError("SUPABASE_SECRET_KEY is set but SUPABASE_URL is not")
        return self

    @model_validator(mode="after")
    def _postiz(self) -> Self:
        """An address of one Postiz must never meet the key of another."""
        if (self.postiz_api_url is None) != (self.postiz_api_key is None):
            raise ValueError("POSTIZ_API_URL and POSTIZ_API_KEY belong together; one of them is not set")
        return self

    @model_validator(mode="after")
    def _mail(self) -> Self:
        if self.smtp_host and not self.smtp_from:
            raise ValueError("SMTP_HOST is set but SMTP_FROM is not")
        if (self.smtp_user is None) != (self.smtp_password is None):
            raise ValueError("SMTP_USER and SMTP_PASSWORD belong together; one of them is not set")
        if self.smtp_password and self.smtp_security == "none":
            raise ValueError("SMTP_SECURITY is none: others on the way could read SMTP_PASSWORD")
        return self

    @property
    def embedded(self) -> bool:
        """Whether the database is the embedded one."""
        return self.database_url is None and not self.cloud

    @property
    def cloud(self) -> bool:
        """Whether data, sign-in and media are Supabase's."""
        return self.supabase_url is not None

    @property
    def media_folder(self) -> Path:
        return self.media_dir or self.clipdesk_data / "media"

    @property
    def spool_folder(self) -> Path:
        return self.spool_dir or self.clipdesk_data / "spool"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, SecretsFile(settings_cls)


def split_keys(value: SecretStr | None) -> list[str]:
    """Keys that are separated by blanks, newlines or commas."""
    return re.split(r"[\s,]+", value.get_secret_value().strip(" \t\n\r,")) if value and value.get_secret_value() else []


def _is_vault_key(text: str, prefix: str) -> bool:
    try:
        return text.startswith(prefix) and len(urlsafe_b64decode(text.removeprefix(prefix))) == 32
    except ValueError:
        return False


def _role_of_key(key: str) -> str | None:
    """ "anon" or "service_role", as far as the key itself tells."""
    if key.startswith("sb_publishable_"):
        return "anon"
    if key.startswith("sb_secret_"):
        return "service_role"
    try:
        payload = key.split(".")[1]
        role = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4))).get("role")
    except (IndexError, ValueError, AttributeError):
        return None
    return str(role)


class SecretsFile(PydanticBaseSettingsSource):
    """Top-level values of `.streamlit/secrets.toml`; keys in any case, empty text means unset."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        if not SECRETS.exists():
            return {}
        try:
            values = tomllib.loads(SECRETS.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
            raise SettingsInvalid(f".streamlit/secrets.toml is not valid TOML: {exc}.") from exc
        return {key.lower(): value for key, value in values.items() if value != ""}


@cache
def settings() -> Settings:
    """The process's settings. Raises `SettingsInvalid` with a sentence a setting."""
    try:
        return Settings()
    except ValidationError as exc:
        raise SettingsInvalid(" ".join(_sentence(error) for error in exc.errors())) from None


def _sentence(error: Any) -> str:
    reason = str(error["msg"]).removeprefix("Value error, ")
    name = str(error["loc"][0]).upper() if error["loc"] else ""
    return f"Setting {name}: {reason}." if name else f"Settings: {reason}."
