"""Files to import, and what a store holds of them."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings

from store.datasets import TRADES
from store.protocol import ALL_TIME
from store.timestamps import fixed_width_text
from trades.imports.formats import opened_file
from trades.imports.layout import ReadOptions
from trades.imports.run import ImportCounts
from trades.imports.services import file_import
from trades.stores import market_store

HEADER = "timestamp,price,volume"


def written(path: Path, lines: Iterable[str], header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def line_of(at_ns: int, price: float, volume: float) -> str:
    return f"{fixed_width_text(np.array([at_ns]))[0].as_py()},{price},{volume}"


def imported(path: Path, *, skip_bad: bool = False, **options: Any) -> ImportCounts:
    read = ReadOptions(options.pop("dataset", TRADES), **options)
    spool = path.with_suffix(".spool")
    counts = file_import(file=opened_file(path), options=read, spool=spool, skip_bad=skip_bad).counts
    assert not spool.exists()
    return counts


def stored_rows(symbol: str) -> Counter[tuple[int, float, float]]:
    rows = market_store().log(TRADES, symbol).at().rows(ALL_TIME)
    columns = (rows.column(name).to_pylist() for name in ("timestamp", "price", "volume"))
    return Counter(zip(*columns, strict=True))


def real_ticks() -> Path:
    return Path(settings.REAL_DATA) / "equity" / "ibm_20131007_tick_trade.csv"
