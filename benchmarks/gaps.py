"""Gaps of ten years of minutes, against pandas' reindexing of the same, and of one day of many symbols."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pandas_market_calendars
import pyarrow as pa

from benchmarks.processes import run_python
from benchmarks.report import Goal, Note, Ratio, Row, Sizes, UnexpectedAnswer
from store.csv import CsvStore
from store.datasets import TRADES
from store.instruments import Instrument
from store.protocol import Append, Dedupe, Window
from store.timestamps import DAY_NS, MINUTE_NS, SECOND_NS, parse_timestamp

_END = "2025-01-01"
_TRADES_A_MINUTE = 10
_BATCH_ROWS = 900_000
_CUTS, _LOST_DATES = 40, 5
_ROUNDS = 7
# A symbol of many has the dates that its last one is judged by.
_DATES_OF_MANY = 122
_LONG, _MANY = "GEN", "S{:04}"

Times = np.ndarray[Any, np.dtype[np.int64]]


def measure_gaps(sizes: Sizes) -> Iterator[Row]:
    """Yield the ratio for one symbol with gaps, and the time of one day of many symbols."""
    years, symbols = 10 if sizes.rounds > 1 else 1, sizes.logs // 10
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        settings = {"DJANGO_SETTINGS_MODULE": "marketdata_project.settings.development", "DATA_DIR": folder}
        printed = run_python(
            "benchmarks.gaps",
            folder,
            str(years),
            str(symbols),
            environment={**os.environ, **settings},
            log=Path(folder) / "errors.log",
        )
    measured = json.loads(printed)
    for rule, goal in (("evidence", Goal(most=1 / 15)), ("calendar", Goal(most=1 / 15))):
        here, beside = measured[rule]
        name = f"gaps of {years} years of minutes by {rule}, processor time, against pandas' date_range and reindex"
        yield Ratio(name, here=here, beside=beside, unit="ms", goal=goal, rival=True)
    yield Note(
        f"Gaps of one day of {symbols:,} symbols, minute by minute, judged by the {_DATES_OF_MANY - 2} dates before:"
        f" {measured['many']:.1f} s of one core, {1e3 * measured['many'] / symbols:.1f} ms a symbol."
    )


def main(folder: Path, years: int, symbols: int) -> None:
    """Print as JSON: by rule the milliseconds of a call here and by pandas; the seconds of one day of many symbols."""
    import django  # noqa: PLC0415 this process needs it, that of the benchmarks does not

    django.setup()
    print(json.dumps({**_measure_long(folder, years), "many": _measure_many(folder, symbols)}))


def _measure_long(folder: Path, years: int) -> dict[str, tuple[float, float]]:
    from stats.market_data.gaps import gaps_of  # noqa: PLC0415 after Django's set-up
    from store.resolutions import Resolution  # noqa: PLC0415

    first = f"{int(_END[:4]) - years}-01-01"
    schedule = pandas_market_calendars.get_calendar("XNYS").schedule(first, _END)
    frame = _store_long(folder, _minutes(schedule))
    window, now_ns = Window(parse_timestamp(first), parse_timestamp(_END)), parse_timestamp("2026-01-01")

    def found(rule: str) -> list[tuple[int, int]]:
        gaps = gaps_of(_LONG, window, Resolution.MINUTE, rule, now_ns=now_ns)
        return [(gap.start_ns, gap.expected_bars) for gap in gaps]

    if found("calendar") != _reindexed(frame, schedule):
        raise UnexpectedAnswer("pandas finds other gaps")
    if len(found("evidence")) < _CUTS // 2:
        raise UnexpectedAnswer("cuts were not found")
    return {
        rule: _alternated(lambda rule=rule: found(rule), lambda: _reindexed(frame, schedule))
        for rule in ("evidence", "calendar")
    }


def _measure_many(folder: Path, symbols: int) -> float:
    """Return the seconds of processor time of the gaps of one day of many symbols."""
    from stats.market_data.gaps import gaps_of  # noqa: PLC0415 after Django's set-up
    from store.resolutions import Resolution  # noqa: PLC0415

    schedule = pandas_market_calendars.get_calendar("XNYS").schedule("2024-01-02", _END)[-_DATES_OF_MANY:]
    minutes, store = _minutes(schedule), CsvStore(folder)
    for number in range(symbols):
        _declared(store, _MANY.format(number), minutes[number % 7 :: 3] + SECOND_NS)
    day, now_ns = schedule.index[-1].value, parse_timestamp("2026-01-01")
    window = Window(day, day + DAY_NS)
    began = time.process_time()
    for number in range(symbols):
        gaps_of(_MANY.format(number), window, Resolution.MINUTE, now_ns=now_ns)
    return time.process_time() - began


def _minutes(schedule: pd.DataFrame) -> Times:
    opens, closes = (
        schedule[name].to_numpy("datetime64[ns]").astype(np.int64) for name in ("market_open", "market_close")
    )
    return np.concatenate([np.arange(*edges, MINUTE_NS) for edges in zip(opens, closes, strict=True)])


def _store_long(folder: Path, minutes: Times) -> pd.DataFrame:
    """Store trades in all minutes but some; return the minute bars as pandas has them."""
    chance = np.random.default_rng(1)
    kept = np.ones(len(minutes), dtype=bool)
    for first in chance.integers(len(minutes) // 5, len(minutes), _CUTS).tolist():
        kept[first : first + int(chance.integers(2, 60))] = False
    # Five whole dates, counted from the opening of a full one.
    opening = int(np.flatnonzero(np.diff(minutes) > MINUTE_NS)[len(minutes) // 780]) + 1
    date = np.cumsum(np.append(0, np.diff(minutes) > MINUTE_NS))
    kept[(date >= date[opening]) & (date < date[opening] + _LOST_DATES)] = False
    present = minutes[kept]
    times = np.repeat(present, _TRADES_A_MINUTE) + np.tile(
        np.arange(_TRADES_A_MINUTE) * 5 * SECOND_NS, len(present)
    )
    _declared(CsvStore(folder), _LONG, times)
    values = chance.random((len(present), 5))
    index = pd.DatetimeIndex(present.astype("datetime64[ns]"), tz="UTC")
    return pd.DataFrame(values, index, ["open", "high", "low", "close", "volume"])


def _declared(store: CsvStore, symbol: str, times: Times) -> None:
    store.set_instrument(Instrument(symbol, exchange="XNYS"))
    for first in range(0, len(times), _BATCH_ROWS):
        part = times[first : first + _BATCH_ROWS]
        values = {"timestamp": part, "price": np.full(len(part), 10.0), "volume": np.ones(len(part))}
        columns = [
            pa.array(values[each.name]) if each.name in values else pa.nulls(len(part), each.type)
            for each in TRADES.schema
        ]
        rows = pa.record_batch(columns, schema=TRADES.schema)
        store.append(Append(TRADES, symbol, rows, "bench", Dedupe.NONE))
    store.derive(TRADES, symbol)


def _reindexed(frame: pd.DataFrame, schedule: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the start and the number of minutes of each run of expected minutes that the frame lacks."""
    expected = pandas_market_calendars.date_range(schedule, "1min", closed="left", force_close=False)
    missing = frame.reindex(expected)["close"].isna().to_numpy()
    edges = np.flatnonzero(np.diff(missing, prepend=False, append=False))
    starts = expected.as_unit("ns").asi8[edges[::2]]
    return list(zip(starts.tolist(), (edges[1::2] - edges[::2]).tolist(), strict=True))


def _alternated(here: Callable[[], object], beside: Callable[[], object]) -> tuple[float, float]:
    """Return the milliseconds of processor time of a call of each: the medians of alternating rounds."""
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for work, times in zip((here, beside), spent, strict=True):
            began = time.process_time()
            work()
            times.append(1e3 * (time.process_time() - began))
    return median(spent[0]), median(spent[1])


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
