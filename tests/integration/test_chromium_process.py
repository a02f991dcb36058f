"""One real Chromium: started, killed, stopped; nothing of it may be left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from calotype.browser.cdp import CdpError, ConnectionLost
from calotype.browser.discover import find_browser
from calotype.browser.jail.levels import ATTEMPTS, open_jail
from calotype.browser.process import BrowserStartFailed, ChromiumProcess, sweep_profiles
from calotype.browser.process_tree import descendants, tree_memory_bytes
from calotype.guard.listener import open_listeners
from calotype.settings import BrowserSettings, GuardSettings


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie whose parent is slow."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


async def until_gone(pids: Iterable[int]) -> None:
    """Wait for processes that are not our children; the test's own timeout bounds it."""
    while any(is_running(pid) for pid in pids):  # noqa: ASYNC110 - the kernel tells only a parent
        await asyncio.sleep(0.02)


@pytest.fixture
def temp_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Profile directories go here, so that a test sees its own only."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture(params=[None, *ATTEMPTS], ids=lambda attempt: "-".join(attempt.means) if attempt else "no-jail")
async def chromium(request: pytest.FixtureRequest, temp_root: Path) -> AsyncIterator[ChromiumProcess]:
    """Chromium in each jail that can be had here, and in none."""
    executable = find_browser(BrowserSettings())
    attempts = [request.param] if request.param else []
    jail, listeners = await open_jail(GuardSettings(), program=executable, listen=open_listeners, attempts=attempts)
    if request.param and jail.lacking:
        pytest.skip(f"not here: {jail.lacking[0]}")
    process = ChromiumProcess(executable, sandbox=False, launcher=jail.launcher(executable, port=listeners.port))
    await process.start()
    yield process
    await process.stop()
    listeners.close()
    await jail.close()


def profiles(root: Path) -> list[Path]:
    return list(root.glob("calotype-profile-*"))


async def test_stop_leaves_no_process_and_no_profile(chromium: ChromiumProcess, temp_root: Path) -> None:
    assert chromium.keeper_pid is not None
    tree = descendants(chromium.keeper_pid)
    assert len(tree) > 2
    assert len(profiles(temp_root)) == 1
    await chromium.stop()
    assert not [pid for pid in tree if is_running(pid)]
    assert not profiles(temp_root)
    assert chromium.closed.is_set()


@pytest.mark.parametrize("victim", ["keeper", "chromium"])
async def test_kill_9_of_the_browser_is_noticed_and_leaves_nothing(
    chromium: ChromiumProcess, temp_root: Path, victim: str
) -> None:
    assert chromium.keeper_pid is not None
    tree = descendants(chromium.keeper_pid)
    os.kill(tree[0] if victim == "keeper" else tree[1], signal.SIGKILL)
    await chromium.closed.wait()
    with pytest.raises(ConnectionLost):
        await chromium.connection.root.call("Browser.getVersion")
    await chromium.stop()
    await until_gone(tree)
    assert not profiles(temp_root)


async def test_kill_9_of_the_server_takes_the_browser_and_its_profile_along(temp_root: Path) -> None:
    server = f"""
        import asyncio, tempfile
        from pathlib import Path
        from calotype.browser.process import ChromiumProcess
        tempfile.tempdir = {str(temp_root)!r}

        async def main():
            process = ChromiumProcess(Path({str(find_browser(BrowserSettings()))!r}), sandbox=False)
            await process.start()
            print(process.keeper_pid, flush=True)
            await asyncio.sleep(3600)

        asyncio.run(main())
    """
    with subprocess.Popen(  # noqa: ASYNC220 - it stands for the server; nothing else runs here
        [sys.executable, "-c", textwrap.dedent(server)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        keeper_pid = next(int(line) for line in owner.stdout if line.strip().isdigit())
        tree = descendants(keeper_pid)
        assert len(tree) > 2
        owner.kill()
    await until_gone(tree)
    assert not profiles(temp_root)


async def test_calls_and_errors_are_told_apart(chromium: ChromiumProcess) -> None:
    assert await chromium.is_healthy()
    with pytest.raises(CdpError, match=r"Target\.attachToTarget"):
        await chromium.connection.root.call("Target.attachToTarget", targetId="none", flatten=True)


def proportional_set_size_bytes(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))


async def test_memory_of_the_tree_is_more_than_that_of_its_root(chromium: ChromiumProcess) -> None:
    assert chromium.keeper_pid is not None
    # Other Chromiums of the machine share the library's pages, so an absolute figure would say nothing.
    assert tree_memory_bytes(chromium.keeper_pid) > 2 * proportional_set_size_bytes(chromium.keeper_pid)


@pytest.mark.parametrize("executable", ["/bin/false", "/nowhere/chromium"])
async def test_a_browser_that_does_not_start_says_so_and_leaves_nothing(temp_root: Path, executable: str) -> None:
    process = ChromiumProcess(Path(executable), sandbox=False, start_timeout_s=10)
    with pytest.raises(BrowserStartFailed, match=executable):
        await process.start()
    assert not profiles(temp_root)


async def test_the_sweep_removes_only_profiles_without_a_keeper(chromium: ChromiumProcess, temp_root: Path) -> None:
    left_over, new = temp_root / "calotype-profile-leftover", temp_root / "calotype-profile-new"
    for profile in (left_over, new):
        profile.mkdir()
    for profile in (left_over, *(each for each in profiles(temp_root) if each not in (left_over, new))):
        os.utime(profile, (0, 0))  # made long ago; the new one may still be on its way to its lock
    assert sweep_profiles(temp_root) == 1
    assert not left_over.exists()
    assert len(profiles(temp_root)) == 2
