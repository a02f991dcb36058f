"""scripts/install-browser and scripts/apt-install on a made-up machine: a PATH of few real tools and fake programs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts/install-browser"
_TOOLS = ("sh", "env", "dirname", "readlink", "head", "tr", "grep", "touch", "chmod")
_DEBIAN = 'echo "Package: $2"; echo "Version: 150.0-1"'
_UBUNTU = '[ "$2" = chromium ] && echo "Version: 1:85.0-snap1"'
# Installing makes the browser appear, as the package would.
_APT_GET = """
echo "$@" >> "{log}"
case "$*" in *install*chromium*) cp "{program}" "{commands}/chromium-headless-shell" ;; esac
"""


class Machine:
    def __init__(self, root: Path) -> None:
        self.commands = root / "bin"
        self.commands.mkdir()
        self.log = root / "apt.log"
        for tool in (*_TOOLS, "cp"):
            real = shutil.which(tool)
            assert real is not None
            (self.commands / tool).symlink_to(real)
        self.program = root / "program"
        self.program.write_text("#!/bin/sh\n")
        self.program.chmod(0o755)
        self.fake("apt-get", _APT_GET.format(log=self.log, program=self.program, commands=self.commands))
        self.fake("apt-cache", _DEBIAN)
        self.fake("id", "echo 0")
        self.fonts()

    def fake(self, name: str, body: str) -> None:
        path = self.commands / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def fonts(self, *, without: str = "none") -> None:
        self.fake("fc-list", f'[ "$1" = ":lang={without}" ] || echo /usr/share/fonts/some.ttf')

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [SCRIPT],
            env={"PATH": str(self.commands), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    @property
    def installed(self) -> list[str]:
        """What apt-get was told, without its options."""
        if not self.log.exists():
            return []
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return [" ".join(word for word in words if not word.startswith("-") and "=" not in word) for words in lines]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_complete_machine_is_left_alone(machine: Machine) -> None:
    machine.fake("chromium-headless-shell", "")
    answer = machine.run()
    assert (answer.returncode, answer.stdout, answer.stderr, machine.installed) == (0, "", "", [])


def test_what_is_missing_is_installed_after_an_update(machine: Machine) -> None:
    machine.fonts(without="und-zsye")
    assert machine.run().returncode == 0
    assert machine.installed == ["update", "install chromium-headless-shell fonts-noto-color-emoji"]


def test_a_second_run_installs_nothing(machine: Machine) -> None:
    assert machine.run().returncode == 0
    machine.log.unlink()
    assert machine.run().returncode == 0
    assert machine.installed == []


def test_a_removed_browser_is_noticed(machine: Machine) -> None:
    assert machine.run().returncode == 0
    machine.log.unlink()
    (machine.commands / "chromium-headless-shell").unlink()
    assert machine.run().returncode == 0
    assert machine.installed[-1] == "install chromium-headless-shell"


def test_an_update_that_fails_does_not_stop_the_installation(machine: Machine) -> None:
    body = (machine.commands / "apt-get").read_text()
    machine.fake("apt-get", f'case "$*" in *update*) exit 100 ;; esac\n{body}')
    assert machine.run().returncode == 0
    assert machine.installed == ["install chromium-headless-shell"]


def test_without_root_the_command_is_printed_and_nothing_is_installed(machine: Machine) -> None:
    machine.fake("id", "echo 1000")
    machine.fake("sudo", "exit 1")
    answer = machine.run()
    assert answer.returncode == 1
    assert "sudo apt-get install --yes --no-install-recommends chromium-headless-shell\n" in answer.stderr
    assert machine.installed == []


def test_sudo_without_a_password_is_used(machine: Machine) -> None:
    machine.fake("id", "echo 1000")
    machine.fake("sudo", 'shift; "$@"')
    assert machine.run().returncode == 0
    assert machine.installed == ["update", "install chromium-headless-shell"]


def test_a_snap_is_no_browser_and_its_stub_is_not_installed(machine: Machine) -> None:
    machine.fake("chromium", "exec /snap/bin/chromium")
    machine.fake("apt-cache", _UBUNTU)
    machine.fake("apt-get", 'case "$*" in *install*) exit 100 ;; esac')
    answer = machine.run()
    assert answer.returncode == 1
    assert "Google Chrome" in answer.stderr


def test_the_browser_of_the_settings_counts(machine: Machine) -> None:
    assert machine.run(CALOTYPE_BROWSER__EXECUTABLE=str(machine.program)).returncode == 0
    assert machine.installed == []
