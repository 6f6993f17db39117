"""The files to deploy with: image, compose files, the Supabase project's settings. No container engine is needed.

What the image would hold is copied out as the Dockerfile says, and the commands of the files run there as they stand.
"""

import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import yaml
from psycopg import sql
from streamlit import config as streamlit_config

from services.accounts import passwords
from services.config import ROOT, Settings
from services.database import embedded
from ui.routes import ROUTES

COMPOSE = {name: yaml.safe_load((ROOT / name).read_text("utf-8")) for name in ("compose.yaml", "compose.supabase.yaml")}
SERVICES = {
    f"{file}: {name}": service for file, content in COMPOSE.items() for name, service in content["services"].items()
}
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
VARIABLE = re.compile(r"\$\{(\w+)(:[?-])?([^}]*)\}")
OPTIONAL = {
    "CLIPDESK_PORTS", "COOKIE_SECURE", "FORWARDED_ALLOW_IPS", "ELEVENLABS_API_KEY", "VAULT_PUBLIC_KEY", "VAULT_KEYS",
    "SITE_URL", "SMTP_HOST", "SMTP_PORT", "SMTP_SECURITY", "SMTP_USER", "SMTP_PASSWORD", "SMTP_FROM",
    "POSTIZ_API_URL", "POSTIZ_API_KEY",
}  # fmt: skip
NOT_OURS = {"FORWARDED_ALLOW_IPS", "PYTHONUNBUFFERED"}  # the server's and Python's
START_SECONDS = 60


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, one line each."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8")).replace("\\\n", " ")
    parts = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(part[0], part[1]) for part in parts]


def arguments(instruction: str) -> list[str]:
    return [value for name, value in instructions() if name == instruction]


def image_environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(arguments("ENV")[0]))


def health_command() -> list[str]:
    return json.loads(arguments("HEALTHCHECK")[0].split("CMD", 1)[1])


def commands() -> dict[str, list[str]]:
    default = json.loads(arguments("CMD")[0])
    return {name: service.get("command", default) for name, service in OURS.items()}


# The image --------------------------------------------------------------------------------------------------


def copied() -> list[tuple[str, str]]:
    return [(source, target) for source, target in (line.split() for line in arguments("COPY"))]


@pytest.mark.parametrize(("source", "target"), copied())
def test_what_the_image_copies_is_there_and_sent(source: str, target: str) -> None:
    assert (ROOT / source).exists()
    assert (ROOT / source).is_dir() == source.endswith("/")
    assert target in ("./", source, f"{Path(source).parent}/")
    path = Path(source)
    assert all(sent(part) for part in (*path.parents[:-1], path))


def sent(path: Path) -> bool:
    """Whether .dockerignore lets it through: of the lines that fit, the last one decides."""
    kept = True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        if pattern and not line.startswith("#") and fnmatch(str(path), pattern):
            kept = line.startswith("!")
    return kept


@pytest.mark.parametrize("name", [".streamlit/secrets.toml", ".env", ".git", "tests", "supabase/config.toml"])
def test_secrets_and_history_are_not_sent(name: str) -> None:
    assert not sent(Path(name))


def test_the_image_runs_as_an_account_without_rights() -> None:
    assert arguments("USER") == ["clipdesk"]
    assert "useradd" in arguments("RUN")[0]


def test_volumes_belong_to_that_account() -> None:
    made = arguments("RUN")[0]
    for name, service in OURS.items():
        for mount in service.get("volumes", []):
            volume, place = mount.split(":")
            assert volume in COMPOSE[name.split(":", 1)[0]]["volumes"]
            assert f" {place}" in made


def test_the_image_s_own_check_asks_a_route_of_the_app() -> None:
    (address,) = re.findall(r"http://127\.0\.0\.1:(\d+)(/\w+)", health_command()[-1])
    assert address[0] == image_environment()["STREAMLIT_SERVER_PORT"] == arguments("EXPOSE")[0]
    assert address[1] in {route.path for route in ROUTES}


# The compose files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OURS)
def test_every_name_is_a_setting(name: str) -> None:
    for variable in OURS[name]["environment"]:
        assert variable.lower() in Settings.model_fields or variable in NOT_OURS


def test_every_name_in_the_image_is_a_setting() -> None:
    for variable in image_environment():
        option = variable.lower().removeprefix("streamlit_").replace("_", ".", 1)
        known = option in {key.lower() for key in streamlit_config.get_config_options()}
        assert known or variable.lower() in Settings.model_fields or variable in NOT_OURS


@pytest.mark.parametrize("name", OURS)
def test_every_command_is_there(name: str) -> None:
    python, option, module, *rest = commands()[name]
    assert (python, option) == ("python", "-m")
    assert importlib.util.find_spec(module)
    assert rest in ([], ["run", "app.py"])


@pytest.mark.parametrize("name", OURS)
def test_only_the_app_is_asked_for_its_health(name: str) -> None:
    """Nothing listens in the others: the image's check would call them ill."""
    disabled = OURS[name].get("healthcheck") == {"disable": True}
    assert disabled == (not name.endswith(": app"))


KEYS = {"ELEVENLABS_API_KEY", "POSTIZ_API_KEY"}
PRIVILEGED = {"DATABASE_ADMIN_URL", "DATABASE_WORKER_URL", "SUPABASE_SECRET_KEY", *KEYS}


def test_secrets_go_only_to_who_needs_them() -> None:
    held = {name: PRIVILEGED & OURS[name]["environment"].keys() for name in OURS}
    assert held == {
        "compose.yaml: migrate": {"DATABASE_ADMIN_URL", "DATABASE_WORKER_URL"},
        "compose.yaml: app": set(),
        "compose.yaml: worker": {"DATABASE_WORKER_URL", *KEYS},
        "compose.supabase.yaml: app": set(),
        "compose.supabase.yaml: worker": {"SUPABASE_SECRET_KEY", *KEYS},
    }


@pytest.mark.parametrize("file", COMPOSE)
def test_no_password_has_a_default(file: str) -> None:
    variables = VARIABLE.findall((ROOT / file).read_text("utf-8"))
    assert {name for name, mark, _ in variables if mark != ":?"} <= OPTIONAL
    assert not re.search(r"(PASSWORD|_KEY): (?!\$\{)", (ROOT / file).read_text("utf-8"))


@pytest.mark.parametrize("file", COMPOSE)
def test_every_variable_is_explained(file: str) -> None:
    manual = "".join((ROOT / "docs" / name).read_text("utf-8") for name in ("deploy.md", "supabase.md"))
    for name, _, _ in VARIABLE.findall((ROOT / file).read_text("utf-8")):
        assert f"`{name}`" in manual or f"{name}=" in manual


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_waits_for_what_is_not_there(name: str) -> None:
    others = COMPOSE[name.split(":", 1)[0]]["services"]
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        healthy = wanted["condition"] == "service_healthy"
        assert "healthcheck" in others[other] if healthy else others[other]["restart"] == "no"


def test_only_this_machine_reaches_the_app() -> None:
    for file in COMPOSE.values():
        assert file["services"]["app"]["ports"] == ["127.0.0.1:${CLIPDESK_PORTS:-8501}:8501"]
        assert "ports" not in file["services"]["worker"]
    assert "ports" not in COMPOSE["compose.yaml"]["services"]["db"]


# The whole of it, as plain processes ------------------------------------------------------------------------


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """The folder that the Dockerfile's COPY lines make."""
    folder = tmp_path / "image"
    for source, target in copied():
        place = folder / target
        if source.endswith("/"):
            shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)
    return folder


class Machine:
    """Runs the services of compose.yaml in the image's folder, on an empty database of the tests' server."""

    def __init__(self, image: Path, server: embedded.Server, port: int) -> None:
        self.image, self.server, self.port = image, server, port
        self.database = f"compose_{uuid4().hex[:12]}"
        self.volumes = image.parent / "volumes"

    def environment(self, service: dict[str, Any]) -> dict[str, str]:
        """Names as in the files; addresses, folders and the port are this machine's."""
        clean = {k: v for k, v in os.environ.items() if k.lower() not in Settings.model_fields}
        values = {name: self.value(name, text) for name, text in service["environment"].items()}
        ours = {"CLIPDESK_DATA": str(self.volumes), "STREAMLIT_SERVER_PORT": str(self.port)}
        return {**clean, **image_environment(), **values, **ours, "STREAMLIT_SERVER_ADDRESS": "127.0.0.1"}

    def value(self, name: str, text: str) -> str:
        if name.startswith("DATABASE_"):
            login = text.removeprefix("postgresql://").split(":")[0]
            return self.server.url(login, self.database)
        if name.endswith("_DIR"):
            return str(self.volumes / Path(text).name)
        return VARIABLE.sub(lambda m: m[3] if m[2] == ":-" else f"{m[1].lower()}-of-the-test", text)

    def start(self, name: str) -> "subprocess.Popen[str]":
        service = COMPOSE["compose.yaml"]["services"][name]
        _, *command = commands()[f"compose.yaml: {name}"]
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.image,
            env=self.environment(service),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    @contextmanager
    def running(self, name: str) -> Iterator["subprocess.Popen[str]"]:
        """The service until the block ends; then it is stopped as an engine stops it."""
        process = self.start(name)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
        finally:
            process.kill()
            process.communicate()

    def await_work(self) -> None:
        """Until the worker has planned its periodic jobs."""
        deadline = time.monotonic() + START_SECONDS
        with psycopg.connect(self.server.url("postgres", self.database), autocommit=True) as admin:
            while not admin.execute("select 1 from public.jobs").fetchone():
                assert time.monotonic() < deadline, "the worker does nothing"
                time.sleep(0.1)

    def health(self) -> int:
        """The status of the image's own question, asked until it is answered."""
        (path,) = re.findall(r":\d+(/\w+)", health_command()[-1])
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as exc:
                return exc.code
            except OSError:
                time.sleep(0.2)
        raise AssertionError("the app did not answer")


@pytest.fixture
def machine(image: Path, server: embedded.Server) -> Iterator[Machine]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Machine(image, server, port)
    name = sql.Identifier(made.database)
    with psycopg.connect(server.url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(name))
        yield made
        admin.execute(sql.SQL("drop database {} with (force)").format(name))


def test_migrations_app_and_worker_start_from_what_the_image_holds(machine: Machine) -> None:
    migration = machine.start("migrate")
    told, _ = migration.communicate(timeout=START_SECONDS)
    assert (migration.returncode, told.startswith("Applied ")) == (0, True), told
    with machine.running("app"), machine.running("worker") as worker:
        assert machine.health() == 200
        machine.await_work()
    assert worker.returncode == 0


# The Supabase project ---------------------------------------------------------------------------------------

PROJECT = tomllib.loads((ROOT / "supabase" / "config.toml").read_text("utf-8"))


def test_the_history_is_the_one_that_the_cli_keeps(server: embedded.Server, database: str) -> None:
    with psycopg.connect(server.url("postgres", database)) as admin:
        columns = admin.execute(
            "select attname, format_type(atttypid, atttypmod) from pg_attribute"
            " where attrelid = 'supabase_migrations.schema_migrations'::regclass and attnum > 0 order by attnum"
        ).fetchall()
        noted = admin.execute("select version || '_' || name from supabase_migrations.schema_migrations order by 1")
        assert columns == [("version", "text"), ("statements", "text[]"), ("name", "text")]
        assert [row[0] for row in noted] == sorted(file.stem for file in (ROOT / "supabase/migrations").glob("*.sql"))


def test_people_come_by_invitation_with_passwords_as_long_as_here() -> None:
    auth = PROJECT["auth"]
    assert (auth["enable_signup"], auth["enable_anonymous_sign_ins"]) == (False, False)
    assert auth["minimum_password_length"] == passwords.LENGTH[0]
    assert auth["email"]["otp_expiry"] <= 3600


@pytest.mark.parametrize("kind", ["invite", "recovery"])
def test_mails_lead_to_the_app_s_own_page(kind: str) -> None:
    mail = PROJECT["auth"]["email"]["template"][kind]
    text = (ROOT / mail["content_path"]).read_text("utf-8")
    assert f'href="{{{{ .SiteURL }}}}/welcome?token_hash={{{{ .TokenHash }}}}&amp;type={kind}"' in text
    assert "/welcome" in {route.path for route in ROUTES}
    assert "ConfirmationURL" not in text
    assert mail["subject"]
