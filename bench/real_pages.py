"""40 pages of real templates from npm, pinned by version and hash, unpacked into a cache directory and served locally.

Nothing but these files can be reached: what a page asks of CDNs and font services fails, for all sides alike.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "calotype-bench"


@dataclass(frozen=True)
class Template:
    package: str
    sha256: str
    root: str
    """The directory of the tarball that is served at `/`."""
    pages: tuple[str, ...]


TEMPLATES = (
    Template(
        "startbootstrap-sb-admin-2@4.1.4",
        "5cb4d3875078a735953af3b1b12ed8271f1bcbb73ec0cb793d5ee81d22881b0f",
        "package/",
        ("index", "charts", "tables", "cards", "buttons", "login", "register", "utilities-animation"),
    ),
    Template(
        "gentelella@4.2.0",
        "42868c216515716c1f958d86459965b2d978d717eac912e456a2c540fed1e25d",
        "package/dist/",
        tuple(
            f"production/{name}"
            for name in (
                "index",
                "index2",
                "index3",
                "chartjs",
                "echarts",
                "calendar",
                "form_advanced",
                "tables_dynamic",
                "widgets",
                "inbox",
            )
        ),
    ),
    Template(
        "@tabler/preview@1.2.0",
        "97d1520d8f1e42b50d56eebc498074e51884271e5fc9fe8a1e3a2e6dfdd80b82",
        "package/dist/",
        (
            "index",
            "charts",
            "cards",
            "users",
            "form-elements",
            "gallery",
            "icons",
            "pricing",
            "tasks",
            "layout-boxed",
        ),
    ),
    Template(
        "material-dashboard@3.1.0",
        "424b8c15e9446bae383106122e22e37a349139ee6fb4b94e214a6ffabc8b41b0",
        "package/",
        tuple(f"pages/{name}" for name in ("dashboard", "tables", "billing", "profile", "notifications", "sign-in")),
    ),
    Template(
        "reveal.js@6.0.2",
        "2f0c20bfb02447a198a1ebe8a8c097a5437d035caa38f2820bf4ba887a3eac91",
        "package/",
        ("index", "demo"),
    ),
    Template(
        "startbootstrap-clean-blog@6.0.9",
        "5c65d4e2d5705e29c6a144b7fa301f8ead8e976f5c4575fb6f1023ec673018a9",
        "package/dist/",
        ("index", "post"),
    ),
    Template(
        "startbootstrap-agency@7.0.12",
        "bc49d5677d6fd30ee77ce33c3baad729494153ffd94a893992414f2a8e8fecd4",
        "package/dist/",
        ("index",),
    ),
    Template(
        "html5-boilerplate@9.0.1",
        "19baebf4f0d07007453a12cdd4a34a71af53311953ce05a608843c4c2d02c70d",
        "package/dist/",
        ("index",),
    ),
)


def _tarball(template: Template, cache: Path) -> Path:
    """Fetch it with npm unless it is there; a wrong hash ends the run."""
    name = template.package.removeprefix("@").replace("/", "-").replace("@", "-")
    path = cache / f"{name}.tgz"
    if not path.exists():
        command = ["npm", "pack", "--silent", "--pack-destination", str(cache), template.package]
        subprocess.run(command, check=True, cwd=cache, stdout=subprocess.DEVNULL, timeout=300)
    if hashlib.sha256(path.read_bytes()).hexdigest() != template.sha256:
        raise SystemExit(f"{path} is not the {template.package} that the pages were chosen from; delete it")
    return path


def _unpacked(template: Template, cache: Path) -> Path:
    tarball = _tarball(template, cache)
    directory = tarball.with_suffix("")
    if not directory.exists():
        with tempfile.TemporaryDirectory(dir=cache) as unfinished, tarfile.open(tarball) as archive:
            wanted = [member for member in archive.getmembers() if member.name.startswith(template.root)]
            archive.extractall(unfinished, wanted, filter="data")
            (Path(unfinished) / template.root).rename(directory)
    return directory


@contextmanager
def _served(directory: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "bench.site", str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()


@contextmanager
def real_pages(cache: Path = CACHE) -> Iterator[dict[str, str]]:
    """Serve all of them; their URLs by name, `package/page`."""
    cache.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        pages: dict[str, str] = {}
        for template in TEMPLATES:
            base = stack.enter_context(_served(_unpacked(template, cache)))
            family = template.package.rpartition("@")[0]
            pages |= {f"{family}/{page}": f"{base}/{page}.html" for page in template.pages}
        yield pages
