"""Finding the binary, on a made-up machine: a PATH and package directories below `tmp_path`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from calotype.browser.discover import INSTALL_COMMAND, BrowserNotFound, find_browser, sandbox_available, sandbox_fix
from calotype.settings import BrowserSettings

_BINARY = b"\x7fELF"
_WRAPPER = b'#!/bin/sh\nexec /elsewhere/chromium "$@"\n'


class Machine:
    def __init__(self, root: Path) -> None:
        self.commands = root / "usr/bin"
        self.packages = (root / "usr/lib/chromium", root / "opt/google/chrome")
        for directory in (self.commands, *self.packages):
            directory.mkdir(parents=True)

    def command(self, name: str, content: bytes = _BINARY) -> Path:
        return _program(self.commands / name, content)

    def packaged(self, name: str, *, package: int = 0) -> Path:
        return _program(self.packages[package] / name, _BINARY)

    def find(self, executable: Path | None = None) -> Path:
        return find_browser(BrowserSettings(executable=executable), directories=self.packages)


def _program(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", str(made.commands))
    return made


def test_headless_shell_is_preferred_then_chromium_then_chrome(machine: Machine) -> None:
    chrome = machine.command("google-chrome")
    assert machine.find() == chrome
    chromium = machine.command("chromium")
    assert machine.find() == chromium
    shell = machine.command("chromium-headless-shell")
    assert machine.find() == shell


def test_a_wrapper_script_is_replaced_by_the_packages_binary(machine: Machine) -> None:
    machine.command("chromium", _WRAPPER)
    binary = machine.packaged("chromium")
    assert machine.find() == binary


def test_chromes_wrapper_stands_beside_a_binary_of_another_name(machine: Machine) -> None:
    wrapper = _program(machine.packages[1] / "google-chrome", _WRAPPER)
    (machine.commands / "google-chrome").symlink_to(wrapper)
    binary = machine.packaged("chrome", package=1)
    assert machine.find() == binary


def test_a_wrapper_of_an_unknown_package_is_used_as_it_is(machine: Machine) -> None:
    wrapper = machine.command("chromium", _WRAPPER)
    assert machine.find() == wrapper


def test_a_packaged_binary_is_found_without_its_command_on_the_path(machine: Machine) -> None:
    binary = machine.packaged("chromium-headless-shell")
    assert machine.find() == binary


def test_a_file_that_can_not_be_executed_is_passed_over(machine: Machine) -> None:
    machine.command("chromium-headless-shell").chmod(0o644)
    chromium = machine.command("chromium")
    assert machine.find() == chromium


@pytest.mark.parametrize("content", [b"#!/bin/sh\nexec /snap/bin/chromium\n", None], ids=["script", "link"])
def test_a_snap_is_passed_over(machine: Machine, tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        (machine.commands / "chromium").symlink_to(_program(tmp_path / "snap", _BINARY))
    else:
        machine.command("chromium", content)
    with pytest.raises(BrowserNotFound):
        machine.find()
    chrome = machine.command("google-chrome")
    assert machine.find() == chrome


def test_the_setting_wins(machine: Machine, tmp_path: Path) -> None:
    machine.command("chromium-headless-shell")
    own = _program(tmp_path / "my-chromium", _BINARY)
    assert machine.find(own) == own


def test_the_setting_may_name_a_command_and_a_wrapper(machine: Machine) -> None:
    machine.command("chromium", _WRAPPER)
    binary = machine.packaged("chromium")
    assert machine.find(Path("chromium")) == binary


def test_a_setting_that_is_no_program_is_named_and_nothing_else_is_taken(machine: Machine, tmp_path: Path) -> None:
    machine.command("chromium-headless-shell")
    with pytest.raises(BrowserNotFound, match=r"CALOTYPE_BROWSER__EXECUTABLE is .*missing"):
        machine.find(tmp_path / "missing")


def test_no_browser_at_all_names_the_command_that_installs_one(machine: Machine) -> None:
    with pytest.raises(BrowserNotFound) as caught:
        machine.find()
    assert INSTALL_COMMAND in caught.value.message


def test_this_machines_browser_is_a_binary() -> None:
    with find_browser(BrowserSettings()).open("rb") as file:
        assert file.read(4) == _BINARY


def test_the_sandbox_is_off_for_root_and_otherwise_as_the_kernel_says() -> None:
    available, reason = sandbox_available()
    assert reason
    if os.geteuid() == 0:
        assert not available
        assert "root" in reason
        assert "ordinary user" in sandbox_fix()
