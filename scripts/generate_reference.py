"""Write what has its truth elsewhere in the code: references in docs/, the client's fields.

`make docs-reference` runs it; with `--check` it writes nothing and fails when a page is stale
(tests/contract/test_reference_docs.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client_fields import fields_module
from reference_pages import GENERATED, commands_page, fields_page, metrics_page, table

from calotype.errors import ERRORS
from calotype.settings import BUILT_IN_PLANS, Settings

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
FIELDS = ROOT / "src/calotype/client/fields.py"

# Defaults that differ from machine to machine.
_COMPUTED_DEFAULTS = {"browser.pages": "twice the number of cores"}

_STRINGS = {"path": "path", "password": "secret"}

Schema = Mapping[str, Any]

_SETTINGS_INTRODUCTION = """
# Settings

Each setting is an environment variable, nested by `__`, or an entry of the TOML file given with `--config`. The order
of precedence: option of the command line, environment, file, default. Lists and plans are JSON in the environment:

```sh
CALOTYPE_GUARD__ALLOW='["127.0.0.1:9000", "10.1.0.0/16"]' calotype serve
```

```toml
[guard]
allow = ["127.0.0.1:9000", "10.1.0.0/16"]
```

`calotype doctor` prints the values in effect, secrets masked. A wrong value stops the start with a message
that names it. Durations are seconds (`_s`), sizes are bytes.
"""

_ERRORS_INTRODUCTION = """
# Errors

Every failure, on every path, has the same shape:

```json
{"ok": false, "error": {"code": "invalid_url", "message": "…", "details": [], "request_id": "…"}}
```

Program against `code`: codes and their statuses are permanent, messages are for people and may change. `details` lists
every field that is wrong, not only the first. `request_id` finds the request in the server's log. Answers with status
429 and 503 carry `Retry-After`.
"""


def settings_page() -> str:
    schema = Settings.model_json_schema()
    definitions: Schema = schema.get("$defs", {})
    loose: dict[str, Schema] = {}
    sections: dict[str, Schema] = {}
    for name, field in schema["properties"].items():
        target = definitions.get(field.get("$ref", "").rpartition("/")[2])
        if target is None:
            loose[name] = field
        else:
            sections[name] = target
    parts = [GENERATED.format(source="src/calotype/settings.py"), _SETTINGS_INTRODUCTION, "\n## general\n"]
    parts += _settings_table("", loose)
    for name, section in sections.items():
        parts += [f"\n## {name}\n", *_settings_table(f"{name}.", section["properties"])]
    parts += _plans(definitions["Plan"])
    return "".join(parts)


def errors_page() -> str:
    parts = [GENERATED.format(source="src/calotype/errors.py"), _ERRORS_INTRODUCTION]
    rows = (
        (str(spec.status), f"`{code}`", spec.when, "yes" if spec.retryable else "no") for code, spec in ERRORS.items()
    )
    return "".join((*parts, *table(("status", "code", "when", "may succeed later"), rows)))


def _settings_table(prefix: str, fields: Mapping[str, Schema]) -> list[str]:
    rows = (
        (
            f"`CALOTYPE_{(prefix + name).replace('.', '__').upper()}`",
            f"`{prefix}{name}`",
            _values(field),
            _COMPUTED_DEFAULTS.get(prefix + name) or _default(field),
            field.get("description", ""),
        )
        for name, field in fields.items()
    )
    return table(("environment", "file", "value", "default", "meaning"), rows)


def _plans(plan: Schema) -> list[str]:
    required = plan.get("required", [])
    fields = (
        (
            f"`{name}`",
            _values(field),
            "required" if name in required else _default(field),
            field.get("description", ""),
        )
        for name, field in plan["properties"].items()
    )
    built_in = (
        tuple(
            "unlimited" if value is None else str(value)
            for value in (p.name, p.requests_per_second, p.burst, p.monthly_credits)
        )
        for p in BUILT_IN_PLANS
    )
    return [
        "\n## A plan\n\nAn entry of `plans`:\n",
        *table(("field", "value", "default", "meaning"), fields),
        "\nBuilt in:\n",
        *table(("name", "requests_per_second", "burst", "monthly_credits"), built_in),
    ]


def _values(field: Schema) -> str:
    """Say which values a field takes: its type, choices and bounds."""
    if "anyOf" in field:
        return next(_values(choice) for choice in field["anyOf"] if choice.get("type") != "null")
    if "enum" in field:
        return ", ".join(f"`{choice}`" for choice in field["enum"])
    name = {"string": _STRINGS.get(field.get("format", ""), "text"), "array": "JSON list"}.get(
        field["type"], field["type"]
    )
    bounds = (
        ("≥", field.get("minimum")),
        (">", field.get("exclusiveMinimum")),
        ("≤", field.get("maximum")),
        ("matches", f"`{field['pattern']}`" if "pattern" in field else None),
    )
    return " ".join((name, *(f"{sign} {bound}" for sign, bound in bounds if bound is not None)))


def _default(field: Schema) -> str:
    default = field.get("default")
    return "-" if default in (None, "") else f"`{default if isinstance(default, str) else json.dumps(default)}`"


def main() -> int:
    pages = {DOCS / "settings.md": settings_page(), DOCS / "errors.md": errors_page()}
    pages[DOCS / "reference/fields.md"] = fields_page()
    pages[DOCS / "reference/cli.md"] = commands_page()
    pages[DOCS / "reference/metrics.md"] = metrics_page()
    pages[FIELDS] = _formatted(fields_module())
    stale = [path for path, page in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != page]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run `make docs-reference`")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(pages[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


def _formatted(code: str) -> str:
    ruff = [sys.executable, "-m", "ruff", "format", "--config", ROOT / "pyproject.toml", "-"]
    return subprocess.run(ruff, input=code, capture_output=True, text=True, check=True).stdout  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
