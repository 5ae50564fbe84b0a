"""Intervals from the open over windows of centuries."""

import pytest

from calendars.schedule import Anchor
from calendars.trading_calendar import TradingCalendar
from store.instant_text import parse_timestamp
from store.instruments import Instrument
from store.log_views import bar_grid
from store.log_views.session_spans import SessionGrid, session_grid
from store.protocol import Window
from store.resolutions import Resolution
from store.timestamps import DAY_NS


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


def ns(text: str) -> int:
    return parse_timestamp(text)
