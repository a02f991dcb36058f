"""What lies in deploy/ is sound in the eyes of the tools that will read it, and agrees with calotype's own settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from calotype.cli import serve
from calotype.settings import Settings
from calotype.telemetry.figures import reference

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
TOOLS = Path(sys.executable).parent
LONGEST_END_S = Settings().server.shutdown_grace_s + serve._ANSWER_GRACE_S + serve._CLOSE_S
TEXTS = sorted(
    path
    for path in DEPLOY.rglob("*")
    if path.is_file() and path.suffix != ".json" and path.parent.name not in {"grafana", "prometheus"}
)


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}:/usr/sbin"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def variables() -> Iterator[str]:
    """The environment variables that stand for settings."""

    def walk(schema: dict[str, Any], prefix: str) -> Iterator[str]:
        for name, field in schema["properties"].items():
            target = definitions.get(field.get("$ref", "").rpartition("/")[2])
            if target is not None and "properties" in target:
                yield from walk(target, f"{prefix}{name}__".upper())
            yield f"{prefix}{name}".upper()

    whole = Settings.model_json_schema()
    definitions = whole["$defs"]
    return walk(whole, "CALOTYPE_")


def assert_pages_fit(pages: int, gibibytes: str) -> None:
    assert pages * Settings().browser.page_memory_bytes <= int(gibibytes) * 2**30


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_only_settings_that_exist_are_named(path: Path) -> None:
    named = set(re.findall(r"\bCALOTYPE_[A-Z][A-Z0-9_]*[A-Z0-9]\b", path.read_text()))
    # Of compose.env, filled in by the operator.
    assert named - set(variables()) <= {"CALOTYPE_PEPPER", "CALOTYPE_TRUSTED_PROXIES"}


def test_the_containerfile() -> None:
    # Versions of Debian's packages are those of the release: security updates must come in.
    run("hadolint", "--ignore", "DL3008", "--ignore", "DL3042", DEPLOY / "Containerfile")
    text = (DEPLOY / "Containerfile").read_text()
    browser = (ROOT / "scripts/install-browser").read_text()
    fonts = set(re.findall(r"need_font \S+ (\S+)", browser))
    assert fonts | {"chromium-headless-shell", "fontconfig", "tini"} <= set(text.split())
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert f"EXPOSE {Settings().server.port}" in text


@pytest.mark.parametrize("name", ["compose.yaml", "compose.minimal.yaml"])
def test_compose(name: str) -> None:
    run("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / name)
    (compose,) = documents(name)
    own = [each for each in compose["services"].values() if each["image"] == "calotype" and "restart" in each]
    assert own
    for service in own:
        assert int(service["stop_grace_period"].removesuffix("s")) > LONGEST_END_S
        assert_pages_fit(int(service["environment"]["CALOTYPE_BROWSER__PAGES"]), service["mem_limit"].removesuffix("g"))
        assert service["cap_drop"] == ["ALL"]
    used = set(re.findall(r"\$\{(\w+)", (DEPLOY / name).read_text()))
    offered = set(re.findall(r"^(\w+)=", (DEPLOY / "compose.env.example").read_text(), re.MULTILINE))
    assert used <= offered
    assert not re.search(r"(PASSWORD|SECRET|PEPPER)\w*: (?!\$\{|postgres)\S", (DEPLOY / name).read_text())


def test_kubernetes() -> None:
    run("kubernetes-validate", "--strict", DEPLOY / "kubernetes/calotype.yaml")
    manifests = {(each["kind"], each["metadata"]["name"]): each for each in documents("kubernetes/calotype.yaml")}
    for name in ("calotype-api", "calotype-worker"):
        pod = manifests["Deployment", name]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        before_the_signal_s = 0
        if hook := container.get("lifecycle"):
            before_the_signal_s = int(hook["preStop"]["exec"]["command"][-1])
        assert (before_the_signal_s > 0) is (name == "calotype-api")  # requests come until the service has forgotten it
        assert pod["terminationGracePeriodSeconds"] > before_the_signal_s + LONGEST_END_S
        pages = int(next(each["value"] for each in container["env"] if each["name"] == "CALOTYPE_BROWSER__PAGES"))
        assert_pages_fit(pages, container["resources"]["limits"]["memory"].removesuffix("Gi"))
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        assert pod["securityContext"]["runAsNonRoot"] is True
    scaler = manifests["HorizontalPodAutoscaler", "calotype-worker"]["spec"]["metrics"][0]["external"]["metric"]["name"]
    rule = (ROOT / "docs/deploy.md").read_text()
    assert f"as: {scaler}" in rule
    assert "max(calotype_jobs{" in rule
    assert "calotype_jobs" in {metric.name for metric in reference()}


def test_systemd(tmp_path: Path) -> None:
    text = (DEPLOY / "systemd/calotype.service").read_text()
    unit = tmp_path / "calotype.service"
    unit.write_text(
        text.replace("/opt/calotype/.venv/bin/calotype", "/bin/true").replace("=calotype\n", "=daemon\n", 1)
    )
    said = run("systemd-analyze", "verify", "--man=no", unit)
    assert [line for line in said.splitlines() if "calotype.service" in line] == []
    (patience_s,) = re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert int(patience_s) > LONGEST_END_S
    assert "ExecReload=/bin/kill -HUP $MAINPID" in text
    assert "RestrictNamespaces" not in text  # the sandbox and the jail are made of them


def test_nginx(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=localhost", "-days", "2", "-out", str(certificate), "-keyout", str(key)]
    run("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *names)
    text = (DEPLOY / "nginx/calotype.conf").read_text()
    text = text.replace("/etc/ssl/calotype/fullchain.pem", str(certificate))
    text = text.replace("/etc/ssl/calotype/privkey.pem", str(key))
    whole = tmp_path / "nginx.conf"
    whole.write_text(f"error_log stderr;\npid {tmp_path}/pid;\nevents {{}}\nhttp {{\n{text}\n}}\n")
    assert "warn" not in run("nginx", "-t", "-p", tmp_path, "-c", whole)
    assert f"client_max_body_size {Settings().server.max_body_bytes // 2**20}m;" in text


def test_caddy() -> None:
    assert shutil.which("caddy")
    run("caddy", "validate", "--adapter", "caddyfile", "--config", DEPLOY / "caddy/Caddyfile")
    run("caddy", "fmt", "--diff", DEPLOY / "caddy/Caddyfile")


def test_the_longest_capture_fits_into_the_proxies_patience() -> None:
    longest_s = 120 + Settings().browser.queue_timeout_s
    for name, pattern in (
        ("nginx/calotype.conf", r"proxy_read_timeout (\d+)s"),
        ("caddy/Caddyfile", r"response_header_timeout (\d+)s"),
    ):
        found = re.search(pattern, (DEPLOY / name).read_text())
        assert found is not None
        assert int(found[1]) > longest_s
