"""The nightly report tells when a whole exchange was silent."""

import logging

import pytest
from django.utils import timezone

from calendars.exceptions import UnknownExchange
from jobs import gap_reports
from jobs.models import Job
from jobs.services import job_submit
from stats.market_data.silence import Silence
from store.instruments import Instrument
from store.timestamps import DAY_NS, parse_timestamp
from tests.jobs.running import run_job
from trades.stores import market_store

pytestmark = pytest.mark.django_db(transaction=True)
NOON = parse_timestamp("2025-01-02T12:00:00Z")


def test_each_exchange_is_judged_on_each_date(default_store, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    asked: list[tuple[str, int]] = []

    def silence(exchange: str, day: int, *, now_ns: int) -> list[Silence]:
        asked.append((exchange, day))
        if exchange == "XXXX":
            raise UnknownExchange("XXXX")
        return [Silence(NOON, NOON + 60_000_000_000, 31.5, 7)] if day == NOON // DAY_NS else []

    monkeypatch.setattr(gap_reports, "exchange_silence", silence)
    for symbol, exchange in (("AAPL", "XNAS"), ("MSFT", "XNAS"), ("ODD", "XXXX"), ("EURUSD", None)):
        market_store().set_instrument(Instrument(symbol, exchange=exchange))
    job = job_submit(
        kind=gap_reports.KIND,
        parameters={"start": "2025-01-02T00:00:00Z", "end": "2025-01-04T00:00:00Z"},
        owner="service",
        created_by="service",
        now=timezone.now(),
    )
    with caplog.at_level(logging.WARNING):
        run_job(job.uuid)
    job = Job.objects.get(pk=job.pk)
    day = NOON // DAY_NS
    assert asked == [("XNAS", day), ("XNAS", day + 1), ("XXXX", day)]
    assert job.result == {
        "exchanges": 2,
        "dates": 2,
        "silences": [
            {"exchange": "XNAS", "start": "2025-01-02T12:00:00Z", "end": "2025-01-02T12:01:00Z",
             "expected_trades": 31.5, "symbols": 7}
        ],
        "unknown_hours": ["XXXX"],
    }  # fmt: skip
    assert "XNAS was silent from 2025-01-02T12:00:00Z to 2025-01-02T12:01:00Z" in caplog.text
