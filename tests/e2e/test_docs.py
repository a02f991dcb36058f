"""The docs: they build without a broken link, and what they show works.

Every block of code is in one of the kinds below. One that is not run says why, in a comment before it:
`<!-- not run: needs a second machine -->`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from calotype.cli import main
from calotype.request import parse_body
from tests.contract.test_deploy import variables
from tests.site.server import Site

from .server_process import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^>]*) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_OF_OTHER_TESTS = ("import base64, hashlib, hmac", "set -euo pipefail", "const ", "import ", "<img", "SELECT")
"""Programs that tests/signing_programs.py takes from the page and runs, and what no program reads."""


@dataclass(frozen=True)
class Block:
    page: str
    language: str
    code: str
    mark: str

    def __str__(self) -> str:
        return f"{self.page}: {self.code.splitlines()[0][:40]}"


def blocks() -> Iterator[Block]:
    for path in PAGES:
        for found in _BLOCK.finditer(path.read_text()):
            yield Block(path.name, found["language"], found["code"], found["mark"] or "")


def is_run(block: Block) -> bool:
    return not block.mark.startswith("not run: ")


def of(*languages: str) -> list[Block]:
    return [block for block in blocks() if block.language in languages and is_run(block)]


SHELL = [block for block in of("sh") if "git clone" not in block.code]
PYTHON = [block for block in of("python") if "calotype.client" in block.code]


def test_every_block_is_of_a_kind_that_is_checked() -> None:
    checked = {*of("sh", "json", "toml"), *PYTHON}
    others = [block for block in blocks() if block not in checked and is_run(block)]
    assert [str(block) for block in others if block.language in ("sh", "python", "json")
            and not block.code.startswith(_OF_OTHER_TESTS)] == []  # fmt: skip


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *PAGES], ids=lambda path: path.name)
def test_every_block_says_its_language(path: Path) -> None:
    fences = re.findall(r"^ *```(\w*)$", path.read_text(), re.MULTILINE)
    assert all(fences[::2])
    assert not any(fences[1::2])


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")), ids=lambda path: path.name)
def test_links_of_the_repository_s_own_pages_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text())
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_site_builds_and_no_link_leads_nowhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site/404.html").is_file()
    pages = [page.read_text() for page in (tmp_path / "site").rglob("*.html")]
    assert len(pages) > len(PAGES)
    loaded = [
        url
        for page in pages
        for url in re.findall(r"<(?:script|link|img)[^>]* (?:src|href)=\"?(https?:[^\"> ]+)", page)
    ]
    assert loaded == []  # no other host is asked for anything


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_json_is_json_and_requests_are_requests(block: Block) -> None:
    content = json.loads(block.code)
    if isinstance(content, dict) and {"url", "html"} & set(content):
        parse_body({name: each for name, each in content.items() if name not in ("file", "include")}, strict=True)


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_and_settings_exist(block: Block) -> None:
    known = {*variables(), "CALOTYPE_KEY"}
    assert set(re.findall(r"\bCALOTYPE_[A-Z][A-Z0-9_]*[A-Z0-9]\b", block.code)) <= known
    for words in commands(block.code):
        if Path(words[0]).name == "calotype":
            check(words[1:])


def commands(code: str) -> Iterator[list[str]]:
    """The simple commands of a script, without assignments before them."""
    code = re.sub(r"\$\((.*?)\)", r"; \1 ;", code.replace("\\\n", " "))
    for line in code.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";|&")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(";|&"):
                words.append(word)
                continue
            while words and re.match(r"\w+=", words[0]):
                words.pop(0)
            if words and words[0] == "export":
                words = []
            if words:
                yield words
            words = []


def check(words: list[str]) -> None:
    """The command has these subcommands and options."""
    command: click.Command = main
    context = click.Context(main)
    rest = list(words)
    while isinstance(command, click.Group) and rest:
        found = command.get_command(context, rest.pop(0))
        assert found is not None, words
        command = found
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.partition("=")[0] for word in rest if word.startswith("-") and word != "-"}
    assert given <= {*options, "--help"}, words


@pytest.fixture
def place(tmp_path: Path, server: ServerProcess) -> tuple[Path, dict[str, str]]:
    (tmp_path / "pages.txt").write_text("https://example.com\nhttps://example.org\n")
    programs = Path(sys.executable).parent
    path = f"{programs}:{os.environ['PATH']}"
    environment = {**os.environ, "CALOTYPE_KEY": server.key, "PATH": path, "CALOTYPE_DATA_DIR": str(tmp_path / "data")}
    return tmp_path, environment


def here(code: str, server: ServerProcess, site: Site) -> str:
    """The code with our addresses instead of the examples'."""
    code = re.sub(r"https://example\.(com|org)\b(?!/)", f"{site.url}/blocks.html", code)
    code = re.sub(r"https://shots\.example\.com|http://127\.0\.0\.1:8600|\blocalhost:8600", server.url, code)
    code = re.sub(r"^(KEY|export CALOTYPE_KEY)=.*$", f"\\1={server.key}", code, flags=re.MULTILINE)
    code = code.replace("$KEY", server.key).replace(".venv/bin/", "")
    return re.sub(
        r"calo_…|api_key=\"…\"", lambda found: server.key if "=" not in found[0] else f'api_key="{server.key}"', code
    )


RUNNABLE = [block for block in SHELL if re.search(r"curl .*/v1/screenshot|calotype capture", block.code)]


@pytest.mark.parametrize("block", RUNNABLE, ids=str)
def test_captures_of_the_docs_work(
    block: Block, server: ServerProcess, site: Site, place: tuple[Path, dict[str, str]]
) -> None:
    directory, environment = place
    (directory / "pages.txt").write_text(f"{site.url}/blocks.html\n{site.url}/text.html\n")
    code = here(block.code, server, site)
    if "--server" not in code:
        code = code.replace("calotype capture", f"calotype capture --allow {site.netloc}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"ok":false' not in done.stdout
    made = [path for path in directory.rglob("*") if path.suffix in {".png", ".jpg", ".jpeg", ".webp"}]
    for path in made:
        assert path.read_bytes()[:4] in {b"\x89PNG", b"\xff\xd8\xff\xe0", b"RIFF"}
    assert made or '"ok":true' in done.stdout


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_of_the_docs_runs(
    block: Block, server: ServerProcess, site: Site, place: tuple[Path, dict[str, str]]
) -> None:
    directory, environment = place
    code = here(block.code, server, site).replace("Calotype()", f'Calotype("{server.url}")')
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
