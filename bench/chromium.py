"""The browser binary, and the flags that the sides without calotype start it with.

They are calotype's own, so that a flag never makes the difference, less those of the guard: the floor has no proxy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from calotype.browser.flags import chromium_flags

_GUARD_FLAGS = ("--proxy-server", "--proxy-bypass-list", "--host-resolver-rules")
_PLAYWRIGHTS_OWN = ("--headless", "--remote-debugging-pipe", "--user-data-dir", "--no-sandbox")


def find_executable() -> str:
    """Find the real headless shell: Debian's file on the PATH is a wrapper around it."""
    if named := os.environ.get("CALOTYPE_BROWSER__EXECUTABLE"):
        return named
    installed = sorted(Path("/usr/lib").glob("chromium*/*headless*shell"))
    if found := next((str(path) for path in installed if os.access(path, os.X_OK)), None):
        return found
    if found := shutil.which("chromium-headless-shell") or shutil.which("chromium") or shutil.which("google-chrome"):
        return found
    raise SystemExit("no Chromium found: apt-get install chromium-headless-shell, or set CALOTYPE_BROWSER__EXECUTABLE")


def has_sandbox() -> bool:
    """Chromium refuses to start as root with its sandbox."""
    return os.geteuid() != 0


def floor_flags(profile: str) -> list[str]:
    flags = chromium_flags(profile=profile, sandbox=has_sandbox())
    return [flag for flag in flags if not flag.startswith(_GUARD_FLAGS)]


def playwright_flags() -> list[str]:
    """Give what is left for `args` when Playwright sets its own part of the command line."""
    return [flag for flag in floor_flags("") if not flag.startswith(_PLAYWRIGHTS_OWN)]


def version(executable: str) -> str:
    said = subprocess.run([executable, "--version"], capture_output=True, text=True, check=False, timeout=30).stdout
    return next((word for word in said.split() if word[:1].isdigit()), "unknown")
