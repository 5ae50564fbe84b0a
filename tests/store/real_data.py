"""Real days of the folder `REAL_DATA` as rows of the datasets; tests that need an absent file are skipped."""

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from django.conf import settings

from store.bars.prints import STANDS
from store.datasets import TRADES

NEW_YORK = ZoneInfo("America/New_York")
PRICE_UNIT = 10_000

CONDITION_BITS = {
    0x1: "regular",
    0x20: "intermarket_sweep",
    0x40: "opening_print",
    0x80: "closing_print",
    0x200: "derivatively_priced",
    0x2000: "extended_hours",
    0x4000: "out_of_sequence",
    0x40000: "stock_option",
    0x100000: "average_price",
    0x200000: "cross",
    0x1000000: "official_close",
    0x4000000: "official_open",
    0x20000000: "trade_through_exempt",
    0x80000000: "odd_lot",
}


def words(mask: str, *, suspicious: bool) -> str | None:
    """The words of a hexadecimal mask, joined as in `conditions`; bits without a name keep their number."""
    bits = [1 << place for place in range(32) if int(mask, 16) >> place & 1]
    named = [CONDITION_BITS.get(bit, f"bit_{bit:x}") for bit in bits] + ["suspicious"] * suspicious
    return ";".join(named) or None


def midnight_ns(year: int, month: int, day: int, zone: ZoneInfo = NEW_YORK) -> int:
    return int(datetime(year, month, day, tzinfo=zone).timestamp()) * 10**9


def real_frame(path: str, columns: list[str], **options: object) -> pd.DataFrame:
    """A file of the folder, under our names for columns; a first column `ms` becomes `time_ns`."""
    file = Path(settings.REAL_DATA) / path
    if not file.exists():
        pytest.skip("the real trades are not on this machine (setting REAL_DATA)")
    frame = pd.read_csv(file, names=columns, skiprows=1, **options)
    if "ms" in frame:
        frame["time_ns"] = frame["ms"] * 10**6
    return frame


def equity_trades(path: str, midnight: int) -> pa.Table:
    """Trades in the file's order, with the system columns of rows that one commit made and that stand."""
    names = ["ms", "price", "size", "exchange", "mask", "suspicious"]
    frame = real_frame(path, names, dtype={"mask": str})
    said = [words(mask, suspicious=bool(flag)) for mask, flag in frame[["mask", "suspicious"]].to_numpy()]
    time, price = midnight + frame["time_ns"].to_numpy(), frame["price"].to_numpy() / PRICE_UNIT
    return trades_table(time, price, frame["size"].to_numpy(), said)


def trades_table(
    time: np.ndarray, price: np.ndarray, size: np.ndarray, conditions: list[str | None]
) -> pa.Table:
    """Ordered rows of the dataset and the system columns."""
    count = len(time)
    columns = {field.name: pa.nulls(count, field.type) for field in TRADES.schema}
    columns |= {"timestamp": time, "price": price.astype(float), "volume": size.astype(float)}
    columns["conditions"] = pa.array(conditions, pa.string())
    rows = pa.table(columns, schema=TRADES.schema)
    for name, value in (
        ("arrival", np.arange(count)),
        ("commit", np.ones(count, np.int32)),
        ("until", np.full(count, STANDS, np.int32)),
    ):
        rows = rows.append_column(name, pa.array(value))
    return rows


def equity_bars(path: str, midnight: int) -> pd.DataFrame:
    """A vendor's bars, by nanosecond."""
    frame = real_frame(path, ["ms", "open", "high", "low", "close", "volume"])
    frame.index = pd.Index(midnight + frame["time_ns"].to_numpy())
    frame[["open", "high", "low", "close"]] /= PRICE_UNIT
    return frame
