"""`/metrics`: who may read it, and what it says that no process counts."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from django.db import OperationalError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from audit.services import call_spool
from marketdata_project import monitoring
from ops.serve.status import Heartbeat
from sources.feed_status import publish
from tests.api_client import problem
from tests.audit.builders import spooled
from tests.sources.test_feed_status import status


@pytest.fixture
def installation(settings, tmp_path: Path, db) -> Path:
    settings.RUN_DIR = tmp_path / "run"
    settings.AUDIT_DIR = tmp_path / "audit"
    Heartbeat(settings.RUN_DIR).beat()
    return tmp_path


def samples(address: str = "127.0.0.1") -> dict[str, float]:
    """The samples without labels."""
    answer = Client(REMOTE_ADDR=address).get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.content.decode())
    return {sample.name: sample.value for each in families for sample in each.samples if not sample.labels}


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1"])
def test_the_machine_itself_may_read(installation, address):
    assert samples(address)


@pytest.mark.parametrize("accept", ["text/plain; version=abc", "application/openmetrics-text; version=x"])
def test_an_odd_version_gets_the_usual_text(installation, accept):
    answer = Client(REMOTE_ADDR="127.0.0.1", HTTP_ACCEPT=accept).get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", ""])
def test_others_find_nothing(installation, address):
    assert problem(Client(REMOTE_ADDR=address).get("/metrics")) == (404, "not_found")


def test_others_may_be_named(installation, settings):
    settings.METRICS_NETWORKS = (ip_network("192.0.2.0/24"),)
    assert samples("192.0.2.1")
    assert problem(Client().get("/metrics")) == (404, "not_found")


def test_nobody_writes(installation):
    assert problem(Client().post("/metrics")) == (405, "method_not_allowed")


def test_a_scraper_that_prefers_it_gets_openmetrics(installation):
    answer = Client().get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.content.endswith(b"# EOF\n")


def test_the_audit_log_s_lag_is_told_by_whoever_answers(installation):
    assert samples()["marketdata_audit_spooled_bytes"] == 0
    call_spool().append(spooled(1))
    try:
        found = samples()
    finally:
        call_spool().close()
    assert found["marketdata_audit_spooled_bytes"] > 100
    assert found["marketdata_audit_lag_seconds"] > 0


def test_what_cannot_be_found_out_is_left_out(installation, monkeypatch):
    def away(**_: object) -> None:
        raise OperationalError("the database is away")

    assert "marketdata_worker_heartbeat_age_seconds" in samples()
    (installation / "run" / "worker.heartbeat").unlink()
    monkeypatch.setattr(monitoring, "audit_lag", away)
    found = samples()
    assert found["marketdata_disk_free_bytes"] > 0
    absent = {"marketdata_worker_heartbeat_age_seconds", "marketdata_audit_lag_seconds"}
    assert absent.isdisjoint(found)


@pytest.mark.usefixtures("project_redis")
def test_feeds_are_told_by_symbol_and_source(installation, settings):
    settings.FEEDS = (("binance", "BTC/USDT", ""), ("binance", "ETH/USDT", ""))
    publish([status("BTC-USDT", lag_seconds=0.5, reconnects=3, holes=2, filled_rows=40)])
    text = Client(REMOTE_ADDR="127.0.0.1").get("/metrics").content.decode()
    of_bitcoin = '{source="binance",symbol="BTC-USDT"}'
    found = [line for line in text.splitlines() if line.startswith("marketdata_feed_")]
    assert sorted(found) == [
        f"marketdata_feed_filled_rows_total{of_bitcoin} 40.0",
        f"marketdata_feed_holes_total{of_bitcoin} 2.0",
        f"marketdata_feed_lag_seconds{of_bitcoin} 0.5",
        f"marketdata_feed_reconnects_total{of_bitcoin} 3.0",
        f"marketdata_feed_up{of_bitcoin} 1.0",
        'marketdata_feed_up{source="binance",symbol="ETH-USDT"} 0.0',
    ]
