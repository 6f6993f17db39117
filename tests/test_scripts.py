"""`run`, `check` and the look, tried with stand-ins for Python and the package managers; no network."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from streamlit import config as streamlit_config

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ["basename", "cat", "cp", "dirname", "id", "ls", "mkdir", "rm", "touch"]
NOBODY = 65534

# Answers `-c` as the real Python would if it had another version or lacked a module. Other calls are noted in
# the log; `-m venv` copies the stand-in into the new environment.
FAKE_PYTHON = """#!/bin/sh
case "$1 $2" in
    "-c "*) exec '{real}' -I -S -c '{disguise}
exec(sys.argv[1])' "$2" ;;
    "-m venv")
        echo "$*" >>'{log}'
        for folder; do :; done
        rm -rf "$folder" && mkdir -p "$folder/bin" && touch "$folder/pyvenv.cfg"
        cp "$0" "$folder/bin/python" ;;
    *)
        echo "$*" >>'{log}'
        case "$*" in {fails}) exit 7 ;; esac ;;
esac
"""


@dataclass
class Machine:
    """A copy of the scripts in a folder with a space, and a PATH on which only chosen programs exist."""

    project: Path
    bin: Path
    log: Path

    def program(self, name: str, text: str = "#!/bin/sh\n") -> None:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)

    def apt_knows(self, package: str) -> None:
        """As the real one, apt-cache succeeds with empty hands for a name that it merely met."""
        self.program("apt-get")
        self.program("apt-cache", f'#!/bin/sh\n[ "$2" != {package} ] || echo "Package: $2"\n')

    def python(
        self, name: str = "python3", *, version: str | None = None, venv: bool = True, fails: str = "''"
    ) -> None:
        """A Python of `version` ("3.9"; None: the real). Calls like the shell pattern `fails` end in 7."""
        disguise = 'import sys; sys.modules["pip"] = sys'
        if version:
            disguise += f"; sys.version_info = ({version.replace('.', ', ')}, 0)"
        if not venv:
            disguise += '; sys.modules["ensurepip"] = None'
        self.program(name, FAKE_PYTHON.format(real=sys.executable, disguise=disguise, log=self.log, fails=fails))

    def run(
        self, script: str, *args: str, user: int | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a script away from its folder, `user` being the account's number."""
        return subprocess.run(
            [str(self.project / script), *args],
            env={"PATH": str(self.bin)} | environment,
            cwd="/",
            user=user,
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
        )

    def calls(self, word: str) -> list[str]:
        """The stand-in Python's calls that contain `word`, oldest first."""
        return [line for line in self.log.read_text().splitlines() if word in line]


@pytest.fixture
def machine() -> Iterator[Machine]:
    """In a folder that everyone may enter, unlike pytest's own: root also tries as another user."""
    folder = Path(tempfile.mkdtemp(prefix="cd-scripts-"))
    folder.chmod(0o755)
    made = Machine(folder / "my project", folder / "bin", folder / "log")
    made.project.mkdir()
    made.bin.mkdir()
    made.log.touch()
    for name in ["run", "check", "requirements.txt", "requirements-dev.txt"]:
        shutil.copy(ROOT / name, made.project)
    for tool in TOOLS:
        (made.bin / tool).symlink_to(str(shutil.which(tool)))
    yield made
    shutil.rmtree(folder)


def as_user(machine: Machine, uid: int) -> None:
    (machine.bin / "id").unlink(missing_ok=True)
    machine.program("id", f'#!/bin/sh\ncase "$1" in -un) echo somebody ;; *) echo {uid} ;; esac\n')


def real_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


class TestMissing:
    """What is missing is named with the exact package before anything is made."""

    @pytest.fixture(autouse=True)
    def _normal_user(self, machine: Machine) -> None:
        as_user(machine, 1000)

    def refused(self, machine: Machine, **environment: str) -> str:
        done = machine.run("run", "--setup", **environment)
        assert done.returncode == 1
        assert done.stdout == ""
        assert not (machine.project / ".venv").exists()
        return done.stderr

    def test_no_python(self, machine: Machine) -> None:
        machine.program("apt-get")
        said = self.refused(machine)
        assert "needs Python 3.11 or newer, and there is none" in said
        assert "sudo apt install python3 python3-venv\n" in said

    def test_root_needs_no_sudo(self, machine: Machine) -> None:
        as_user(machine, 0)
        machine.program("apt-get")
        assert "Install one: apt install python3 python3-venv\n" in self.refused(machine)

    @pytest.mark.parametrize("known", ["python3.13", "python3.12", "python3.11"])
    def test_too_old_names_the_newest_the_system_has(self, machine: Machine, known: str) -> None:
        machine.python(version="3.10")
        machine.apt_knows(known)
        said = self.refused(machine)
        assert "needs Python 3.11 or newer; python3 is 3.10." in said
        assert f"sudo apt install {known} {known}-venv\n" in said

    def test_too_old_with_unread_package_lists(self, machine: Machine) -> None:
        machine.python(version="3.9")
        machine.program("apt-get")
        assert "sudo apt install python3.11 python3.11-venv\n" in self.refused(machine)

    def test_no_venv_module(self, machine: Machine) -> None:
        machine.python(venv=False)
        machine.program("apt-get")
        said = self.refused(machine)
        assert "python3 lacks the venv module" in said
        assert f"sudo apt install python{real_version()}-venv\n" in said

    @pytest.mark.parametrize(
        ("manager", "command"),
        [
            ("dnf", "sudo dnf install python3.12\n"),
            ("brew", "brew install python@3.13\n"),
            ("none", "https://www.python.org/downloads/\n"),
        ],
    )
    def test_other_systems(self, machine: Machine, manager: str, command: str) -> None:
        machine.python(version="3.8")
        machine.program(manager)
        assert command in self.refused(machine)

    def test_fedora_without_venv(self, machine: Machine) -> None:
        machine.python(venv=False)
        machine.program("dnf")
        assert "sudo dnf install python3-libs python-pip-wheel\n" in self.refused(machine)

    def test_a_named_python_that_does_not_start(self, machine: Machine) -> None:
        machine.python()
        assert "PYTHON names '/no/python'" in self.refused(machine, PYTHON="/no/python")

    def test_a_named_python_that_is_too_old(self, machine: Machine) -> None:
        machine.python()
        machine.python("old", version="3.7")
        assert "old is 3.7." in self.refused(machine, PYTHON="old")


class TestSetUp:
    def set_up(self, machine: Machine, **environment: str) -> str:
        done = machine.run("run", "--setup", **environment)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def test_the_second_start_installs_nothing(self, machine: Machine) -> None:
        machine.python()
        assert "Installing the packages of requirements.txt" in self.set_up(machine)
        assert self.set_up(machine) == ""
        assert len(machine.calls("pip install")) == len(machine.calls("-m venv")) == 1

    def test_changed_requirements_are_installed(self, machine: Machine) -> None:
        machine.python()
        self.set_up(machine)
        with (machine.project / "requirements.txt").open("a") as requirements:
            requirements.write("another~=1.0\n")
        self.set_up(machine)
        assert len(machine.calls("pip install")) == 2
        assert len(machine.calls("-m venv")) == 1

    def test_a_failed_installation_is_said_and_tried_again(self, machine: Machine) -> None:
        machine.python(fails="*'pip install'*")
        done = machine.run("run", "--setup")
        assert done.returncode == 1
        assert "could not be installed" in done.stderr
        machine.python("python3")
        shutil.copy(machine.bin / "python3", machine.project / ".venv/bin/python")
        assert "Installing" in self.set_up(machine)

    @pytest.mark.parametrize("damage", ["no interpreter", "dead link", "no pip"])
    def test_a_broken_environment_is_made_again(self, machine: Machine, damage: str) -> None:
        python = machine.project / ".venv/bin/python"
        python.parent.mkdir(parents=True)
        if damage == "dead link":
            python.symlink_to("/no/longer/there")
        elif damage == "no pip":
            machine.python("python3", fails="*'pip --version'*")
            shutil.copy(machine.bin / "python3", python)
        machine.python()
        self.set_up(machine)
        assert len(machine.calls("-m venv")) == 1

    def test_an_environment_of_an_old_python_is_made_again(self, machine: Machine) -> None:
        machine.python("old", version="3.10")
        (machine.project / ".venv/bin").mkdir(parents=True)
        shutil.copy(machine.bin / "old", machine.project / ".venv/bin/python")
        machine.python()
        self.set_up(machine)
        assert len(machine.calls("-m venv")) == 1

    def test_names_that_do_not_work_are_passed_over(self, machine: Machine) -> None:
        """As pyenv's shims do: on PATH, and failing when started."""
        machine.program("python3.13", "#!/bin/sh\nexit 127\n")
        machine.python("python3.12", venv=False)
        machine.python("python3.11")
        machine.python("python3", version="3.9")
        self.set_up(machine)
        made = (machine.project / ".venv/bin/python").read_text()
        assert made == (machine.bin / "python3.11").read_text()

    def test_another_folder(self, machine: Machine, tmp_path: Path) -> None:
        machine.python()
        self.set_up(machine, CLIPDESK_VENV=str(tmp_path / "other place"))
        assert (tmp_path / "other place/bin/python").exists()
        assert not (machine.project / ".venv").exists()

    def test_a_folder_with_other_files_is_left_alone(self, machine: Machine, tmp_path: Path) -> None:
        machine.python()
        (tmp_path / "letter.txt").write_text("keep me")
        done = machine.run("run", "--setup", CLIPDESK_VENV=str(tmp_path))
        assert done.returncode == 1
        assert "which holds other files" in done.stderr
        assert (tmp_path / "letter.txt").read_text() == "keep me"

    def test_a_read_only_folder(self, machine: Machine) -> None:
        machine.python()
        machine.project.chmod(0o555)
        done = machine.run("run", "--setup", user=NOBODY if os.geteuid() == 0 else None)
        machine.project.chmod(0o755)
        assert done.returncode == 1
        assert f"may not write to '{machine.project}'" in done.stderr

    def test_streamlit_gets_the_options_as_typed(self, machine: Machine) -> None:
        machine.python()
        done = machine.run("run", "--server.address", "0.0.0.0", "--", "two words")
        assert done.returncode == 0
        assert machine.calls("streamlit") == [
            "-m streamlit run app.py --server.address 0.0.0.0 -- two words",
        ]


class TestCheck:
    STEPS = ("ruff check", "ruff format --check", "mypy services", "pytest -n 2 --dist worksteal")

    def test_the_steps_in_order(self, machine: Machine) -> None:
        machine.python()
        machine.program("chromium")
        done = machine.run("check", "tests/database", "-k", "quota")
        assert done.returncode == 0
        steps = machine.calls("-m ")[-4:]
        assert all(step in call for step, call in zip(self.STEPS, steps, strict=True))
        assert steps[-1] == "-m pytest -n 2 --dist worksteal -m not full tests/database -k quota"

    def test_full_drops_the_filter(self, machine: Machine) -> None:
        machine.python()
        machine.program("google-chrome")
        machine.run("check", "--full", "-x")
        assert machine.calls("pytest") == ["-m pytest -n 2 --dist worksteal -m  -x"]

    @pytest.mark.parametrize("failing", range(4))
    def test_the_first_failure_ends_it(self, machine: Machine, failing: int) -> None:
        machine.python(fails=f"*'{self.STEPS[failing]}'*")
        machine.program("chromium")
        assert machine.run("check").returncode == 7
        assert self.STEPS[failing] in machine.calls("-m ")[-1]

    def test_run_finds_what_check_installed(self, machine: Machine) -> None:
        machine.python()
        machine.program("chromium")
        machine.run("check")
        machine.run("run", "--setup")
        assert len(machine.calls("pip install")) == 1

    @pytest.mark.parametrize(
        ("known", "command"),
        [
            ("chromium-browser", "sudo apt install chromium-browser\n"),
            ("chromium", "sudo apt install chromium\n"),
        ],
    )
    def test_chromium_missing(self, machine: Machine, known: str, command: str) -> None:
        as_user(machine, 1000)
        machine.python()
        machine.apt_knows(known)
        done = machine.run("check")
        assert done.returncode == 1
        assert command in done.stderr
        assert machine.log.read_text() == ""

    def test_chosen_tests_run_without_chromium(self, machine: Machine) -> None:
        machine.python()
        done = machine.run("check", "-m", "not browser")
        assert done.returncode == 0
        assert "need Chromium" in done.stderr


@pytest.mark.parametrize("script", ["run", "check", ".ci/run"])
def test_scripts_parse_and_may_be_started(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & stat.S_IXUSR
    shell = path.read_text().splitlines()[0].rpartition("/")[2].rpartition(" ")[2]
    subprocess.run([shell, "-n", str(path)], check=True, timeout=10)


class TestLook:
    """`.streamlit/config.toml`."""

    SETTINGS = tomllib.loads((ROOT / ".streamlit/config.toml").read_text())

    def names(self, table: dict[str, object], prefix: str = "") -> Iterator[str]:
        for key, value in table.items():
            if isinstance(value, dict):
                yield from self.names(value, f"{prefix}{key}.")
            else:
                yield prefix + key

    def test_streamlit_knows_every_option(self) -> None:
        assert set(self.names(self.SETTINGS)) <= set(streamlit_config.get_config_options())

    def test_a_first_start_is_for_this_machine_only(self) -> None:
        assert self.SETTINGS["server"]["address"] == "127.0.0.1"

    @pytest.mark.parametrize("mode", ["light", "dark"])
    def test_text_is_readable(self, mode: str) -> None:
        theme = self.SETTINGS["theme"][mode]
        for place in (theme, theme["sidebar"]):
            for ground in (place["backgroundColor"], place["secondaryBackgroundColor"]):
                assert contrast(theme["textColor"], ground) >= 4.5
                assert contrast(theme["linkColor"], ground) >= 4.5
                assert contrast(blend(theme["textColor"], ground, 0.6), ground) >= 4.5, "captions"
                assert contrast(theme["primaryColor"], ground) >= 3
        assert contrast("#ffffff", theme["primaryColor"]) >= 4.5, "what stands on a button"

    @pytest.mark.parametrize("mode", ["light", "dark"])
    def test_chart_colours_stand_out(self, mode: str) -> None:
        theme = self.SETTINGS["theme"][mode]
        assert len(set(theme["chartCategoricalColors"])) == len(theme["chartSequentialColors"]) == 10
        for colour in theme["chartCategoricalColors"]:
            assert contrast(colour, theme["backgroundColor"]) >= 3


def channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def blend(colour: str, ground: str, share: float) -> str:
    mixed = (round(c * share + g * (1 - share)) for c, g in zip(channels(colour), channels(ground), strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it, 0 to 1."""
    shares = (value / 255 for value in channels(colour))
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)
