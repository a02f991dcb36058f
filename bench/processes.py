"""What a process tree uses: CPU seconds and memory, read from the kernel without any library.

CPU: the tree is started in a cgroup (v2) of its own and `cpu.stat` is read, because Chromium's zygote makes the
renderers and the time of those that are gone never reaches a parent that we could ask. Where no cgroup can be made the
`/proc` tree is summed instead and the figures say so: they miss most of what vanished renderers used.
Memory: PSS, so that pages shared between Chromium's processes count once.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_ENTER = 'echo 0 > "$0" && exec "$@"'  # 0 is the writing process itself


def _own_cgroup() -> Path | None:
    """Give the directory of our cgroup in the v2 hierarchy, which also exists beside v1 on hybrid systems."""
    with contextlib.suppress(OSError, StopIteration):
        mounts = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
        root = next(fields[4] for fields in mounts if fields[fields.index("-") + 1] == "cgroup2")
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
        return Path(root) / own.lstrip("/")
    return None


def _make_cgroup(name: str) -> Path | None:
    parent = _own_cgroup()
    if parent is None:
        return None
    path = parent / f"calotype-bench-{os.getpid()}-{name}"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        path.mkdir()
        subprocess.run(["/bin/sh", "-c", _ENTER, path / "cgroup.procs", "true"], check=True, stderr=subprocess.DEVNULL)
        (path / "cpu.stat").read_text()
        return path
    with contextlib.suppress(OSError):
        path.rmdir()
    return None


class Tree:
    """A program with everything it starts: a session of its own, counted as one, ended as one."""

    def __init__(
        self,
        name: str,
        argv: list[str],
        *,
        env: dict[str, str] | None = None,
        log: Path | None = None,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
    ) -> None:
        self._cgroup = _make_cgroup(name)
        if self._cgroup is not None:
            argv = ["/bin/sh", "-c", _ENTER, str(self._cgroup / "cgroup.procs"), *argv]
        with contextlib.ExitStack() as stack:
            stderr = stack.enter_context(log.open("ab")) if log else None
            to = stderr if log and stdout == subprocess.STDOUT else stdout
            self.process = subprocess.Popen(
                argv, stdin=stdin, stdout=to, stderr=stderr, env=env, start_new_session=True
            )
        self.pid = self.process.pid

    @property
    def counting(self) -> str:
        return "cgroup" if self._cgroup else "proc"

    def cpu_seconds(self) -> float:
        if self._cgroup is None:
            return sum(_cpu_seconds(pid) for pid in tree_of(self.pid))
        fields = dict(line.split() for line in (self._cgroup / "cpu.stat").read_text().splitlines())
        return int(fields["usage_usec"]) / 1e6

    def members(self) -> list[int]:
        if self._cgroup is None:
            return tree_of(self.pid)
        return [int(pid) for pid in (self._cgroup / "cgroup.procs").read_text().split()]

    def close(self, *, terminate: bool = False, grace_s: float = 20.0) -> list[int]:
        """End the tree (end of input, or SIGTERM); give the processes that outlived it and had to be killed."""
        members = self.members()
        if self.process.stdin:
            self.process.stdin.close()
        if terminate:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace_s)
        left = self._remaining(members)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self.process.wait()
        if self._cgroup:
            self._remaining(members)
            with contextlib.suppress(OSError):
                self._cgroup.rmdir()
        return left

    def _remaining(self, members: list[int]) -> list[int]:
        """Give those of the tree still running after up to 3 s (Chromium's helpers end a moment after it)."""
        left: list[int] = []
        for _ in range(60):
            known = self.members() if self._cgroup else [pid for pid in members if _parent_and_session(pid)]
            left = [pid for pid in known if _state(pid) not in ("", "Z")]
            if not left:
                break
            time.sleep(0.05)
        return left


def _stat(pid: int) -> list[str]:
    """Give the fields of `/proc/PID/stat` from the state on; [] when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _state(pid: int) -> str:
    return (_stat(pid) or [""])[0]


def _parent_and_session(pid: int) -> tuple[int, int] | None:
    fields = _stat(pid)
    return (int(fields[1]), int(fields[3])) if fields else None


def _cpu_seconds(pid: int) -> float:
    """Give user and system time of a process and of its children that it has waited for."""
    fields = _stat(pid)
    return sum(int(value) for value in fields[11:15]) / _TICKS_PER_S if fields else 0.0


def own_cpu_seconds(pid: int) -> float:
    """Give user and system time of one process alone."""
    fields = _stat(pid)
    return sum(int(value) for value in fields[11:13]) / _TICKS_PER_S if fields else 0.0


def tree_of(pid: int) -> list[int]:
    """Give a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (known := _parent_and_session(int(entry))):
            children.setdefault(known[0], []).append(int(entry))
    found = [pid]
    for member in found:
        found += children.get(member, [])
    return found


def memory_bytes(pid: int) -> dict[str, int]:
    """Give `rss`, `pss` and `private` bytes of a process; zeros when it is gone."""
    wanted = {"Rss:": "rss", "Pss:": "pss", "Private_Clean:": "private", "Private_Dirty:": "private"}
    sums = dict.fromkeys(wanted.values(), 0)
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(" ")
            if name in wanted:
                sums[wanted[name]] += int(rest.split()[0]) * 1024
    return sums


def is_chromium(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "chrom" in Path(os.readlink(f"/proc/{pid}/exe")).name
    return False
