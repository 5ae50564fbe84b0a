"""`import` of each file of a folder of others' files: stored at once, after one question, or refused with a reason.

The expected rows were read from the files, not from what the command stored: of each symbol the first and the last row.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError

from tests.trades.imports.command import asked, imported, stored

FOLDER = Path(
    os.environ.get("IMPORT_CASES") or Path(settings.REAL_DATA).parent.joinpath("cases", "files").as_posix()
)
AT_ONCE, ASKED, REFUSED = "at once", "after one question", "refused"
Row = tuple[object, ...]
X: dict[str, Any] = {"symbol": "X"}
DAYS: dict[str, Any] = {**X, "resolution": "1d"}
MINUTES: dict[str, Any] = {**X, "resolution": "1m"}
TRADE, BAR, DAY = ("trades", "price", "volume"), ("bars", "open", "close", "resolution"), "T00:00:00Z"

# File, options, outcome, and either the reason or the first and last row of each symbol.
FILES: list[tuple[str, dict[str, Any], str, str, tuple[str, ...], dict[str, tuple[Row, Row]]]] = [
    ("01-polygon-trades-TPC-TpC.csv", {}, AT_ONCE, "layout: polygon", TRADE, {
        "TPC": (("2024-01-03T14:30:00.0005Z", 9.05, 100.0), ("2024-01-03T14:30:30.0005Z", 9.06, 100.0)),
        "T.PRC": (("2024-01-03T14:30:10.0005Z", 20.01, 100.0), ("2024-01-03T14:30:10.0005Z", 20.01, 100.0)),
    }),
    ("02-daily-bars.csv", X, REFUSED, "--resolution 1d --preview", BAR, {}),
    ("02-daily-bars.csv", DAYS, ASKED, "--columns", BAR, {
        "X": ((f"2022-06-23{DAY}", 10.0, 11.0, "1d"), (f"2022-06-24{DAY}", 11.0, 11.0, "1d"))}),
    ("02-day_aggs_v1/2024-01-02.csv", {}, REFUSED, "--resolution 1d --preview", BAR, {}),
    ("02-day_aggs_v1/2024-01-02.csv", {"resolution": "1d"}, AT_ONCE, "layout: polygon", BAR, {
        "TWOSRC": ((f"2024-01-02{DAY}", 187.15, 185.64, "1d"), (f"2024-01-02{DAY}", 187.15, 185.64, "1d"))}),
    ("02-yahoo-daily.csv", DAYS, AT_ONCE, "layout: yahoo", BAR, {
        "X": ((f"2024-01-02{DAY}", 187.149994, 185.639999, "1d"), (f"2024-01-02{DAY}", 187.149994, 185.639999, "1d"))}),
    ("04-coin-low-1h.csv", X, ASKED, "--resolution 1h", BAR, {
        "X": ((f"2024-03-01{DAY}", 8.119999999999998e-06, 8.187353829873525e-06, "1h"),
              ("2024-03-13T11:00:00Z", 7.949957732721557e-06, 8.013475809396204e-06, "1h"))}),
    ("06-500-daily-bars.csv", X, ASKED, "--resolution 1d", BAR, {
        "X": ((f"2022-01-03{DAY}", 100.0, 101.33, "1d"), (f"2023-12-06{DAY}", 119.22, 118.81, "1d"))}),
    ("05-split-sent-twice.json", {}, REFUSED, "not an answer of Alpaca's API", TRADE, {}),
    ("07-entry-bar-stop.csv", DAYS, ASKED, "--columns", BAR, {
        "X": ((f"2024-03-04{DAY}", 14.0, 18.0, "1d"), (f"2024-03-08{DAY}", 21.0, 22.0, "1d"))}),
    ("08-fall-back-bars.csv", X, REFUSED, "two bars of X .* 2024-11-03T01:00:00Z .*--timezone", BAR, {}),
    ("08-fall-back-bars.csv", {**MINUTES, "timezone": "America/New_York"}, ASKED, "--columns", BAR, {
        "X": (("2024-11-03T04:59:00Z", 1.0, 1.0, "1m"), ("2024-11-03T07:00:00Z", 6.0, 6.0, "1m"))}),
    ("08-fall-back-trades.csv", {**X, "timezone": "America/New_York"}, ASKED, "--columns", TRADE, {
        "X": (("2024-11-03T04:59:00Z", 1.0, 10.0), ("2024-11-03T07:00:00Z", 6.0, 10.0))}),
    ("09/BTCUSDT-1m-2024-12.csv", MINUTES, AT_ONCE, "layout: binance", BAR, {
        "X": (("2024-12-31T23:58:00Z", 93500.01, 93503.01, "1m"), ("2024-12-31T23:59:00Z", 93501.01, 93504.01, "1m"))}),
    ("09/2024-01-03.csv", {}, AT_ONCE, "layout: polygon", TRADE, {
        "TPC": (("2024-01-03T14:30:00.0005Z", 9.05, 100.0), ("2024-01-03T14:30:30.0005Z", 9.06, 100.0)),
        "T.PRC": (("2024-01-03T14:30:10.0005Z", 20.01, 100.0), ("2024-01-03T14:30:10.0005Z", 20.01, 100.0)),
    }),
    ("10-running-candle.ndjson", {}, REFUSED, 'one in each line, such as {"symbol":"RUN1","resolution":"1h",', BAR, {}),
    ("11-binance-klines-headerless.csv", X, ASKED, "--format binance", BAR, {
        "X": (("2024-12-31T23:58:00Z", 93500.01, 93503.01, "1m"), ("2025-01-01T00:01:00Z", 93503.01, 93506.01, "1m"))}),
    ("11-binance-trades-headerless.csv", X, ASKED, "--format binance", TRADE, {
        "X": (("2025-01-02T00:00:00.010021Z", 94591.78, 0.00079), ("2025-01-02T00:00:00.02543Z", 94591.79, 6e-05))}),
    ("11-kraken-trades-headerless.csv", X, ASKED, "--format kraken", TRADE, {
        "X": ((f"2024-01-01{DAY}", 42283.5, 0.005), ("2024-01-01T00:00:10Z", 42275.0, 1e-08))}),
    ("11-firstrate-headerless.txt", MINUTES, ASKED, "--format firstrate", BAR, {
        "X": (("2024-01-02T09:00:00Z", 475.2, 475.44, "1m"), ("2024-01-02T09:01:00Z", 475.44, 475.35, "1m"))}),
    ("11-metatrader4-headerless.csv", X, REFUSED, "have no time zone; give --timezone", BAR, {}),
    ("11-ninjatrader-semicolon-headerless.csv", X, REFUSED, "--resolution 1m --preview", BAR, {}),
    ("11-ninjatrader-semicolon-headerless.csv", MINUTES, ASKED, "--format ninjatrader", BAR, {
        "X": (("2024-01-02T09:30:00Z", 4783.25, 4784.0, "1m"), ("2024-01-02T09:31:00Z", 4784.0, 4780.5, "1m"))}),
    ("12-metatrader5-tab.csv", {**MINUTES, "timezone": "UTC"}, AT_ONCE, "layout: mt5", BAR, {
        "X": (("2024-01-02T00:05:00Z", 1.10427, 1.10425, "1m"), ("2024-01-02T00:06:00Z", 1.10425, 1.10422, "1m"))}),
    ("12-excel-semicolon.csv", {}, ASKED, "--timezone UTC", TRADE, {
        "AAPL": (("2024-01-02T09:30:00Z", 187.15, 100.0), ("2024-01-02T09:30:00Z", 187.15, 100.0))}),
    ("13-ib-flex-trades.csv", {}, AT_ONCE, "layout: ib", TRADE, {
        "AAPL": (("2024-01-02T14:30:12Z", 187.15, 100.0), ("2024-01-02T20:59:59Z", 185.6312, 100.0)),
        "BRK.B": (("2024-01-03T15:15:00Z", 362.46, 1250.0), ("2024-01-03T15:15:00Z", 362.46, 1250.0))}),
    ("14-broker-preamble-dollars.csv", {"columns": "volume=Quantity", "time_format": "%m/%d/%Y"}, REFUSED, "Date has dates without a time of day", TRADE, {}),
    ("14-stooq-date-and-time.csv", {}, AT_ONCE, "layout: stooq", BAR, {
        "AAPL.US": ((f"2024-01-02{DAY}", 187.15, 185.64, "1d"), (f"2024-01-03{DAY}", 184.22, 184.25, "1d"))}),
    ("14-yahoo-null-row.csv", X, AT_ONCE, "layout: yahoo", BAR, {
        "X": ((f"2024-01-02{DAY}", 187.149994, 185.639999, "1d"), (f"2024-01-05{DAY}", 181.990005, 181.179993, "1d"))}),
    ("14-yfinance-multiindex.csv", {"resolution": "1d"}, AT_ONCE, "layout: yahoo", BAR, {
        "MSFT": ((f"2024-01-02{DAY}", 369.73, 366.8, "1d"), (f"2024-01-03{DAY}", 365.95, 366.54, "1d"))}),
    ("15-cronly.csv", X, ASKED, "--columns", TRADE, {
        "X": (("2024-01-02T09:31:00Z", 10.5, 100.0), ("2024-01-02T09:31:01Z", 10.6, 50.0))}),
    ("15-excel-sep-line.csv", X, ASKED, "--columns", TRADE, {
        "X": (("2024-01-02T09:31:00Z", 10.5, 100.0), ("2024-01-02T09:31:00Z", 10.5, 100.0))}),
    ("15-gzas.csv", X, ASKED, "--columns", TRADE, {
        "X": (("2024-01-02T09:31:00Z", 10.5, 100.0), ("2024-01-02T09:31:00Z", 10.5, 100.0))}),
    ("15-trailcomma_rows.csv", X, ASKED, "--columns", TRADE, {
        "X": (("2024-01-02T09:31:00Z", 10.5, 100.0), ("2024-01-02T09:31:01Z", 10.6, 50.0))}),
    ("15-spaceline.csv", X, ASKED, "--columns", TRADE, {
        "X": (("2024-01-02T09:31:00Z", 10.5, 100.0), ("2024-01-02T09:31:01Z", 10.6, 50.0))}),
    ("second/01-wrds-taq.csv", {}, AT_ONCE, "layout: wrds", TRADE, {
        "BRK.A": (("2024-01-02T14:30:01.5Z", 545000.0, 1.0), ("2024-01-02T14:30:01.5Z", 545000.0, 1.0)),
        "BRK.B": (("2024-01-02T14:30:00.123456789Z", 360.1, 100.0), ("2024-01-02T14:30:00.123456789Z", 360.1, 100.0))}),
    ("second/02-algoseek-bars.csv", {}, AT_ONCE, "layout: algoseek", BAR, {
        "AAPL": (("2024-01-02T14:30:00Z", 187.15, 187.1, "1m"), ("2024-01-02T14:32:00Z", 187.1, 186.95, "1m"))}),
    ("second/03-ccxt-ohlcv-no-header.csv", X, ASKED, "--columns timestamp=1,open=2,high=3,low=4,close=5,volume=6", BAR, {
        "X": ((f"2024-01-02{DAY}", 44179.51, 44188.02, "1m"), ("2024-01-02T00:02:00Z", 44200.0, 44190.0, "1m"))}),
    ("second/04-newest-first-trades.csv", X, ASKED, "--columns", TRADE, {
        "X": (("2024-01-02T14:30:30.5Z", 101.0, 1.0), ("2024-01-02T14:31:30.5Z", 113.0, 1.0))}),
    ("second/05-nse-saturday-daily.csv", {}, ASKED, "--columns", BAR, {
        "RELI": ((f"2024-01-18{DAY}", 2700.0, 2701.0, "1d"), (f"2024-01-23{DAY}", 2730.0, 2731.0, "1d"))}),
    ("second/06-pandas-weekly-sunday.csv", X, ASKED, "--bar-times end", BAR, {
        "X": ((f"2024-01-01{DAY}", 1.0, 1.0, "1w"), (f"2024-01-22{DAY}", 4.0, 4.0, "1w"))}),
    ("second/07-yfinance-tokyo-daily.csv", X, ASKED, "--columns", BAR, {
        "X": ((f"2024-01-04{DAY}", 1.0, 1.0, "1d"), (f"2024-01-09{DAY}", 3.0, 3.0, "1d"))}),
    ("second/08-bigquery-utc-suffix.csv", {}, REFUSED, "--columns timestamp=ts_event --preview", TRADE, {}),
    ("second/08-bigquery-utc-suffix.csv", {"columns": "timestamp=ts_event"}, ASKED, "--columns", TRADE, {
        "AAPL": (("2024-01-02T14:30:00.123456789Z", 187.15, 100.0), ("2024-01-02T14:30:01.123456789Z", 187.16, 100.0))}),
    ("second/09-float32.parquet", X, ASKED, "--timezone UTC", TRADE, {
        "X": (("2024-03-08T14:30:00.123456789Z", 187.15, 100.0), ("2024-03-11T13:30:00Z", 187.16, 1.0))}),
    ("second/10-algoseek-taq.csv", {}, REFUSED, "line 6: the event cancels or changes an earlier trade", TRADE, {}),
    ("second/11-two-contracts-one-product.csv", {}, ASKED, "doubt: Delivery Date", TRADE, {
        "ES": (("2024-01-02T17:00:00.123Z", 4788.25, 1.0), ("2024-01-02T17:00:01.5Z", 4840.25, 2.0))}),
    ("second/11-two-contracts-one-product.csv",
     {"columns": "timestamp=Trade Date+Trade Time,price=Price,volume=Quantity,symbol=Product+Delivery Date",
      "timezone": "America/Chicago"}, AT_ONCE, "2 stored", TRADE, {
        "ES.202403": (("2024-01-02T23:00:00.123Z", 4788.25, 1.0), ("2024-01-02T23:00:00.123Z", 4788.25, 1.0)),
        "ES.202406": (("2024-01-02T23:00:01.5Z", 4840.25, 2.0), ("2024-01-02T23:00:01.5Z", 4840.25, 2.0))}),
    ("second/12-vix-no-volume.csv", X, AT_ONCE, "layout: cboe", BAR, {
        "X": ((f"2024-01-02{DAY}", 13.21, 13.2, "1d"), (f"2024-01-16{DAY}", 13.54, 13.84, "1d"))}),
    ("second/13-ib-tws-zone-name.csv", X, AT_ONCE, "layout: ib", BAR, {
        "X": (("2024-01-02T14:30:00Z", 187.15, 187.1, "1m"), ("2024-01-02T14:32:00Z", 187.1, 186.95, "1m"))}),
    ("second/13b-ib-midpoint.csv", X, AT_ONCE, "layout: ib", BAR, {
        "X": ((f"2024-01-02{DAY}", 1.10415, 1.1042, "1m"), ("2024-01-02T00:02:00Z", 1.1041, 1.1041, "1m"))}),
    ("second/15-tradestation.txt", X, REFUSED, "have no time zone; give --timezone", BAR, {}),
    ("second/16-yfinance-multiindex.parquet", {}, AT_ONCE, "layout: yahoo", BAR, {
        "AAPL": ((f"2024-03-07{DAY}", 1.0, 1.5, "1d"), (f"2024-03-11{DAY}", 3.0, 3.5, "1d"))}),
    ("second/17-barchart.csv", {**X, "skip_bad": True}, AT_ONCE, "layout: barchart", BAR, {
        "X": ((f"2024-01-11{DAY}", 186.54, 185.59, "1d"), (f"2024-01-16{DAY}", 182.16, 183.63, "1d"))}),
    ("second/19-BTC%3AUSD.csv", {}, AT_ONCE, "layout: marketdata", TRADE, {
        "19-BTC:USD": (("2024-01-02T14:30:00.123456789Z", 187.15, 0.1), (f"2024-01-03{DAY}", 12345678.9, 9007199254740992.0))}),
    ("second/20-freqtrade.json", X, ASKED, "--resolution 1m", BAR, {
        "X": ((f"2024-01-02{DAY}", 44179.51, 44188.02, "1m"), ("2024-01-02T00:02:00Z", 44200.0, 44190.0, "1m"))}),
    ("second/21-night-session.csv", X, ASKED, "doubt: times of day jump back within a date", TRADE, {
        "X": (("2024-03-11T09:00:00Z", 3710.0, 10.0), ("2024-03-12T21:00:00Z", 3730.0, 10.0))}),
]  # fmt: skip


@pytest.fixture(autouse=True)
def data_folder(settings, store_path: Path, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"
    if not FOLDER.is_dir():
        pytest.skip("the files are not on this machine (environment variable IMPORT_CASES)")


@pytest.mark.parametrize(
    "place", range(len(FILES)), ids=[f"{name}-{outcome}" for name, _, outcome, *_ in FILES]
)
def test_a_file_is_stored_asked_for_or_refused(place: int):
    name, options, outcome, said, columns, rows = FILES[place]
    path, dataset, names = FOLDER / name, columns[0], columns[1:]
    if outcome == REFUSED:
        with pytest.raises(CommandError, match=said):
            imported(path, **options)
        assert stored(dataset) == {}
        return
    if outcome == ASKED:
        assert said in asked(path, **options)
        assert stored(dataset) == {}
        imported(path, **options)
    else:
        assert said in imported(path, **options, yes=False)
    found = stored(dataset, *names)
    assert {symbol: (some[0], some[-1]) for symbol, some in found.items()} == rows
