"""Intervals of sessions over windows of decades and centuries."""

from pathlib import Path
from typing import Any

import pytest

from calendars.schedule import Anchor, Hours
from calendars.trading_calendar import TradingCalendar
from store.bar_policies import EVERY_PRINT
from store.bars.spans import Spans
from store.csv import CsvStore
from store.datasets import BARS, TRADES
from store.instant_text import parse_timestamp
from store.instruments import Instrument
from store.log_views import bar_grid
from store.log_views.known_bars import bars_of_logs
from store.log_views.log_view import empty_view, view_of
from store.log_views.session_spans import SessionGrid, intraday_spans, session_grid
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS
from tests.store.builders import SYMBOL, batch, trade


def test_a_window_of_centuries_is_aligned_by_the_dates_around_its_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def counted(resolution: Resolution, window: Window, calendar: TradingCalendar) -> SessionGrid:
        asked.append(window.end_ns - window.start_ns)
        return session_grid(resolution, window, calendar)

    monkeypatch.setattr(bar_grid, "session_grid", counted)
    grid = bar_grid.instrument_grid(
        Instrument(symbol="X", exchange="XNYS"), Resolution.parse("7m"), anchor=Anchor.SESSION
    )

    aligned = grid.aligned(ns("2006-03-06T14:36:59Z"), ns("2026-03-05T14:37:00.000000001Z"))

    assert aligned == Window(ns("2006-03-06T14:30:00Z"), ns("2026-03-05T14:44:00Z"))
    assert max(asked) < DAY_NS


@pytest.mark.parametrize("settle_ns", [None, 0], ids=["now", "then"])
@pytest.mark.parametrize("anchor", Anchor)
def test_of_rows_decades_apart_only_the_intervals_near_them_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settle_ns: int | None, anchor: Anchor
) -> None:
    store, texts = CsvStore(tmp_path), ("1990-03-06T14:36:59Z", "2026-03-05T20:59:59.5Z")
    store.append(batch(*(trade(ns(text), trade_id=text) for text in texts)))
    asked: list[int] = []

    def counted(resolution: Any, window: Window, **rest: Any) -> Spans:
        asked.append(window.end_ns - window.start_ns)
        return intraday_spans(resolution, window, **rest)

    monkeypatch.setattr(bar_grid, "intraday_spans", counted)
    grid = bar_grid.instrument_grid(
        Instrument(SYMBOL, exchange="XNYS"), Resolution.parse("10s"), hours=Hours.REGULAR, anchor=anchor
    )
    trades, stored = view_of(store.log(TRADES, SYMBOL).at()), empty_view(store.log(BARS, SYMBOL))

    maker = bars_of_logs(trades, stored, grid, EVERY_PRINT, settle_ns)
    bars = maker.bars(grid.aligned(ns("1980-01-01"), ns("2026-03-06")))

    assert bars.time_ns.tolist() == [ns("1990-03-06T14:36:50Z"), ns("2026-03-05T20:59:50Z")]
    assert max(asked) <= 2 * DAY_NS


def ns(text: str) -> int:
    return parse_timestamp(text)
