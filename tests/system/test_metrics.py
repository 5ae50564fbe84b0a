"""What a running server exports is what the alerts, the dashboard and Prometheus's own tool read. Real processes."""

import json
import os
import re
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import yaml
from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families

from tests.front.front_server import ask, eventually
from tests.ops.metrics.declared import declared
from tests.sources.test_feed_status import status
from tests.system.batches import Batch
from tests.system.clients import OHLC, clients_of_every_web, connected
from tests.system.installation import Installation

pytestmark = pytest.mark.xdist_group("installation")

DEPLOY = settings.BASE_DIR / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
CONFIG = DEPLOY / "prometheus" / "prometheus.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"
CLOCK = "/api/v1/clock"
# What Prometheus adds to every sample, and `up`, which is its own.
OF_PROMETHEUS = {"instance", "job", "__name__"}

Labels = dict[str, str]
Exported = dict[str, list[tuple[Labels, float]]]


class Selector(NamedTuple):
    """A metric in an expression, with its matchers."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expression: str) -> list[Selector]:
    found = re.findall(r"\b(marketdata_\w+|up)\b(?:\{([^}]*)\})?", expression)
    return [
        Selector(name, tuple(re.findall(r'(\w+)(=~|=|!=)"([^"]*)"', matchers))) for name, matchers in found
    ]


def grouped_by(expression: str) -> set[str]:
    """The labels that an expression adds up or matches by."""
    lists = re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression)
    return {label.strip() for labels in lists for label in labels.split(",")}


def shown(text: str) -> set[str]:
    """The labels that a legend or an annotation shows."""
    return set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", text))


def rules() -> list[tuple[str, str]]:
    """The expressions of the alerts, with what they say."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [
        (rule["expr"], " ".join(rule["annotations"].values())) for each in groups for rule in each["rules"]
    ]


def queries() -> list[tuple[str, str]]:
    """The expressions of the dashboard, with their legends."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [(target["expr"], target["legendFormat"]) for panel in panels for target in panel["targets"]]


def scraped(installation: Installation) -> str:
    return ask(
        installation.port, b"GET /metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    ).body.decode()


def exported(text: str) -> Exported:
    found: Exported = {"up": [({}, 1.0)]}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def answered(found: Exported, route: str) -> float:
    """How many requests of a route were answered."""
    samples = found.get("marketdata_http_requests_total", [])
    return sum(value for labels, value in samples if labels["route"] == route)


@pytest.fixture
def text(installation: Installation) -> str:
    """What is exported after a few requests of each sort."""
    with connected(installation.port, installation.key) as client:
        assert client.ingest(Batch(1, "METRICS", 3, has_ids=True).body).status == 200
        for _ in range(2):
            assert client.get(f"{OHLC}?symbol=METRICS").status == 200
        assert client.get("/nothing").status == 404
    with connected(installation.port, installation.new_key(rate=1)) as limited:
        assert 429 in {limited.get(CLOCK).status for _ in range(10)}
    assert ask(installation.port, b"nonsense\r\n\r\n").status == 400
    reset_a_call(installation)
    feed = status("METRICS", lag_seconds=0.5)
    installation.redis.set("sources:feeds", msgspec.json.encode([feed]), ex=600)
    assert eventually(lambda: is_complete(exported(scraped(installation))))
    return scraped(installation)


def reset_a_call(installation: Installation) -> None:
    """Reset a connection whose calls are being answered: with more than fits into the buffers of its sockets."""
    with connected(installation.port, installation.key) as client:
        assert client.ingest(Batch(2, "METRICS", 5_000, has_ids=True).body).status == 200
    stream = "/api/v1/market-data/equities/METRICS/trades/stream"
    call = f"GET {stream} HTTP/1.1\r\nHost: h\r\nX-API-Key: {installation.key}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", installation.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(call * 20)
        assert connection.recv(1)


def is_complete(found: Exported) -> bool:
    """Whether the other processes have published, too."""
    refused = [
        labels
        for labels, _ in found.get("marketdata_limit_decisions_total", [])
        if labels["outcome"] == "refused"
    ]
    return bool(refused) and all(
        name in found
        for name in (
            "marketdata_answers_cut_total",
            "marketdata_front_refusals_total",
            "marketdata_jobs_ended_total",
            "marketdata_cache_answers_total",
            "marketdata_store_rows_total",
            "marketdata_duty_last_success_timestamp_seconds",
            "marketdata_fold_lag_seconds",
        )
    )


def matches(selector: Selector, labels: Labels) -> bool:
    return all(fits(labels.get(name), word, value) for name, word, value in selector.matchers)


def fits(found: str | None, word: str, value: str) -> bool:
    if found is None:
        return False
    return (re.fullmatch(value, found) is not None) if word == "=~" else (found == value) == (word == "=")


def missing(expression: str, legend: str, found: Exported) -> list[str]:
    """What an expression names that is not exported."""
    used = selectors(expression)
    absent = [each.name for each in used if each.name not in found]
    labels = {name for each in used for sample, _ in found.get(each.name, []) for name in sample}
    labels |= OF_PROMETHEUS
    for each in used:
        # Nobody makes a healthy server fail.
        healthy = each._replace(matchers=tuple(each for each in each.matchers if each[2] != "5xx"))
        if not any(
            matches(healthy, {"job": "marketdata", **sample}) for sample, _ in found.get(each.name, [])
        ):
            absent.append(str(each))
    kept = grouped_by(expression) if re.search(r"\bby\b", expression) else labels
    return [*absent, *sorted(grouped_by(expression) - labels), *sorted(shown(legend) - kept - OF_PROMETHEUS)]


def test_the_alerts_and_the_dashboard_ask_for_what_is_exported(text: str):
    found = exported(text)
    assert len(rules()) >= 10
    assert len(queries()) >= 20
    absent = {
        expression: gone
        for expression, legend in [*rules(), *queries()]
        if (gone := missing(expression, legend, found))
    }
    assert absent == {}


def test_what_is_not_exported_would_be_found(text: str):
    found = exported(text)
    assert missing("sum(marketdata_nothing)", "", found)
    assert missing('rate(marketdata_duty_runs_total{outcome="lost"}[5m])', "", found)
    assert missing("sum by (color) (marketdata_duty_runs_total)", "", found) == ["color"]
    assert missing("sum by (duty) (marketdata_duty_runs_total)", "{{outcome}}", found) == ["outcome"]


def test_every_metric_is_exported_with_its_help(text: str):
    helped = dict(re.findall(r"^# HELP (\w+) (.*)$", text, re.MULTILINE))
    expected = {
        f"{family.name}_total" if family.type == "counter" else family.name: family.documentation
        for family, _ in declared()
    }
    assert helped == expected
    assert [
        name for name in expected if not re.search(rf"^{name}(?:_bucket)?[ {{]", text, re.MULTILINE)
    ] == []


def test_every_metric_is_of_use_to_an_alert_or_the_dashboard():
    expressions = " ".join(expression for expression, _ in [*rules(), *queries()])
    assert [family.name for family, _ in declared() if family.name not in expressions] == []


@pytest.mark.usefixtures("text")
def test_counts_are_of_all_processes_and_survive_a_killed_one(installation: Installation):
    """Bars are answered by Django, and by the event loop when they are asked for again."""
    expected = settled(installation) + count_of_calls(installation)
    assert eventually(lambda: answered(exported(scraped(installation)), "ohlc") == expected)
    installation.kill(installation.webs()[0])
    assert installation.is_complete()
    assert answered(exported(scraped(installation)), "ohlc") == expected
    expected += count_of_calls(installation)
    assert eventually(lambda: answered(exported(scraped(installation)), "ohlc") == expected)
    starts = exported(scraped(installation))["marketdata_process_starts_total"]
    assert max(value for labels, value in starts if labels["process"].startswith("web-")) >= 2
    lives = exported(scraped(installation))["marketdata_process_start_time_seconds"]
    others = {"worker", "engine", "strategies", "jobs", "feed"}
    assert {labels["process"] for labels, _ in lives} == {"web-1", "web-2", *others}


def settled(installation: Installation) -> float:
    """How many calls for bars were answered, once every process has published since."""
    published = {path: path.stat().st_mtime_ns for path in published_by(installation)}
    assert eventually(lambda: all(path.stat().st_mtime_ns > at for path, at in published.items()))
    return answered(exported(scraped(installation)), "ohlc")


def published_by(installation: Installation) -> list[Path]:
    return list((installation.served.data_dir / "run" / "metrics").glob("*.json"))


def count_of_calls(installation: Installation) -> int:
    """Call each web process a few times; how often."""
    with clients_of_every_web(installation.served, installation.key, each=1) as clients:
        assert len({client.process for client in clients}) == 2
        calls = [client.get(f"{OHLC}?symbol=METRICS").status for client in clients for _ in range(10)]
    assert set(calls) == {200}
    return len(calls)


def promtool(*arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
    """What `promtool check` says; without it the test is skipped."""
    program = shutil.which("promtool")
    if program is None:
        (pytest.fail if os.environ.get("REQUIRE_ALL") else pytest.skip)("there is no promtool")
    command: Iterable[str | Path] = [program, "check", *arguments]
    return subprocess.run(list(command), input=given, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("kind", "path"), [("rules", ALERTS), ("config", CONFIG)], ids=["rules", "config"])
def test_promtool_takes_the_files(kind: str, path: Path):
    checked = promtool(kind, path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(rules())} rules found" in checked.stdout


def test_promtool_finds_nothing_to_say_of_what_is_exported(text: str):
    checked = promtool("metrics", given=text)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert promtool("metrics", given=text.replace("_total", "")).returncode != 0
