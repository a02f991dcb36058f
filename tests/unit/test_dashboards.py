"""The dashboard and the alerts name metrics, labels and labels' values that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from calotype.errors import ERRORS
from calotype.telemetry.figures import reference, reference_registry

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana/calotype.json"
ALERTS = DEPLOY / "prometheus/alerts.yml"
_SELECTOR = re.compile(r"\b((?:calotype|process)_[a-z_]+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_SCRAPER = {"job", "instance"}
PANELS: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]


def expressions() -> Iterator[tuple[str, str]]:
    """Each with what it is of."""
    for panel in PANELS:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


EXPRESSIONS = list(expressions())


def test_every_metric_is_looked_at() -> None:
    named = {name for _, expression in EXPRESSIONS for name, _ in _SELECTOR.findall(expression)}
    assert {facts.name for facts in reference()} <= named | {re.sub("_(bucket|sum|count)$", "", name) for name in named}


@pytest.mark.parametrize("expression", [each for _, each in EXPRESSIONS], ids=[title for title, _ in EXPRESSIONS])
def test_an_expression_names_what_is_scraped(expression: str) -> None:
    labels = {facts.name: set(facts.labels) for facts in reference()}
    for facts in reference():
        if facts.kind == "histogram":
            del labels[facts.name]
            labels |= {f"{facts.name}_{suffix}": {*facts.labels} for suffix in ("sum", "count")}
            labels[f"{facts.name}_bucket"] = {*facts.labels, "le"}
    for family in reference_registry().collect():
        if family.name.startswith("process_"):
            labels |= {sample.name: set() for sample in family.samples}
    for name, matchers in _SELECTOR.findall(expression):
        assert name in labels
        for label, _ in _MATCHER.findall(matchers):
            assert label in labels[name] | _SCRAPER
        grouped = {label.strip() for found in re.findall(r"by \(([^)]*)\)", expression) for label in found.split(",")}
        if name.startswith("calotype_") and len(set(_SELECTOR.findall(expression))) == 1:
            assert grouped <= labels[name] | _SCRAPER
        codes = [value for label, value in _MATCHER.findall(matchers) if label in ("outcome", "code")]
        for code in "|".join(codes).split("|") if codes else ():
            assert code in {*ERRORS, "ok", "partial", "cached", "replayed", "cancelled"}


def test_the_dashboard_is_complete_in_itself() -> None:
    board = json.loads(DASHBOARD.read_text())
    variables = {variable["name"] for variable in board["templating"]["list"]}
    assert variables == {"datasource", "job", "instance"}
    assert set(re.findall(r"\$\{?([a-z]+)\}?", DASHBOARD.read_text())) == variables
    ids = [panel["id"] for panel in PANELS]
    assert len(ids) == len(set(ids))
    for panel in PANELS:
        if panel["type"] != "row":
            assert panel["title"]
            assert panel["description"]
            assert panel["datasource"]["uid"] == "${datasource}"
            assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def test_an_alert_says_what_is_wrong() -> None:
    [group] = yaml.safe_load(ALERTS.read_text())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(names) == len(set(names)) >= 10
    for rule in group["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
