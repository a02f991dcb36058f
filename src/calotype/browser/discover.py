"""Which Chromium binary to start, and whether its sandbox can be on here.

Only looks; starting is `process.py`. Distributions put a shell script on the PATH that adds flags of their own and
stays behind as a parent process, so a found script is replaced by the binary that it runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from calotype.errors import CalotypeError
from calotype.settings import BrowserSettings

INSTALL_COMMAND = "apt-get install --no-install-recommends chromium-headless-shell"

# In this order: headless shell captures about three times as many pages per second as the full browser (ADR 1).
_COMMANDS = ("chromium-headless-shell", "chromium", "google-chrome", "google-chrome-stable")
_BINARY_DIRECTORIES = (
    Path("/usr/lib/chromium"),
    Path("/usr/lib64/chromium"),
    Path("/usr/lib/chromium-browser"),
    Path("/opt/google/chrome"),
)
_BINARY_NAMES = {"google-chrome": "chrome", "google-chrome-stable": "chrome"}

# What Chromium's own namespace sandbox does first. The setuid helper is no way out: it needs privileges that the
# guard's launcher gives up.
_NAMESPACE_PROBE = ("unshare", "--user", "--map-root-user", "--pid", "--net", "--fork", "true")
_PROBE_TIMEOUT_S = 10.0
# (name, the value that denies, one that allows)
_NAMESPACE_SWITCHES = (
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("user.max_user_namespaces", "0", "15000"),
)


class BrowserNotFound(CalotypeError):
    """No Chromium is installed, or the one in the settings can't be run. The message names the fix."""


def find_browser(settings: BrowserSettings, *, directories: Sequence[Path] = _BINARY_DIRECTORIES) -> Path:
    """Find the real browser binary: the setting if there is one, else the first known name that is installed.

    `directories` are where packages keep the binaries behind their commands.

    Raises:
        BrowserNotFound: there is none.
    """
    if settings.executable is not None:
        return _stated(settings.executable, directories)
    for command in _COMMANDS:
        if binary := _installed(command, directories):
            return binary
    raise BrowserNotFound(
        f"No Chromium was found (looked for {', '.join(_COMMANDS)}). Install it with `{INSTALL_COMMAND}`, "
        "or set CALOTYPE_BROWSER__EXECUTABLE to a binary."
    )


def sandbox_available() -> tuple[bool, str]:
    """Whether Chromium's sandbox can be on, and why not. Takes some milliseconds: it tries."""
    if os.geteuid() == 0:
        return False, "running as root, where Chromium refuses its sandbox"
    try:
        probe = subprocess.run(  # noqa: S603 -- a constant command
            _NAMESPACE_PROBE, capture_output=True, text=True, check=False, timeout=_PROBE_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"user namespaces can't be tried: {error}"
    if probe.returncode == 0:
        return True, "user namespaces work"
    return False, f"user namespaces are denied ({probe.stderr.strip()})"


def sandbox_fix() -> str:
    """What to do when the sandbox is not available: for the system's switches, the command."""
    if os.geteuid() == 0:
        return "run calotype as an ordinary user"
    for name, closed, opened in _NAMESPACE_SWITCHES:
        file = Path("/proc/sys", *name.split("."))
        if file.is_file() and file.read_text().strip() == closed:
            return f"sudo sysctl -w {name}={opened}"
    return "start the container with a seccomp profile that allows user namespaces"


def _stated(executable: Path, directories: Sequence[Path]) -> Path:
    path = shutil.which(str(executable.expanduser()))
    if path is None:
        raise BrowserNotFound(f"CALOTYPE_BROWSER__EXECUTABLE is {executable}, which is not a program that can be run.")
    return _behind_wrapper(Path(path).absolute(), directories)


def _installed(command: str, directories: Sequence[Path]) -> Path | None:
    path = shutil.which(command)
    if path is None:
        # A service's PATH may be short; the binary is where the package puts it all the same.
        return _binary(command, directories)
    binary = _behind_wrapper(Path(path).absolute(), directories)
    # A snap is confined: it sees neither our profile directory nor the descriptors we pass.
    return None if _is_snap(binary) else binary


def _behind_wrapper(path: Path, directories: Sequence[Path]) -> Path:
    """Give the binary that the distribution's script at `path` runs; anything else as it is."""
    if not _is_script(path):
        return path
    return _binary(path.name, (path.resolve().parent, *directories)) or path


def _binary(command: str, directories: Sequence[Path]) -> Path | None:
    name = _BINARY_NAMES.get(command, command)
    candidates = (directory / name for directory in directories)
    return next((path for path in candidates if os.access(path, os.X_OK) and not _is_script(path)), None)


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def _is_snap(path: Path) -> bool:
    if path.resolve().name == "snap" or "snap" in path.resolve().parts[:2]:
        return True
    return _is_script(path) and b"/snap/" in path.read_bytes()[:4096]
