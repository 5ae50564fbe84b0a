"""Makes the one-minute bars of a day, in a new process.

Run as `python -m benchmarks.cold_peers NAME PATH START END`. NAME is `store` (PATH: a store), `pandas` (a CSV file),
`duckdb` or `polars` (a Parquet file); START and END are epoch seconds. Prints a JSON list: the seconds of the answer
without the imports, the number of bars, and the sum of their volumes and closes.
"""

import json
import sys
import time
from collections.abc import Callable

_NS = 1_000_000_000
Answer = tuple[float, int, float]
_SQL = """
    SELECT date_trunc('minute', timestamp) AS minute, arg_min(price, timestamp) AS open, max(price) AS high,
        min(price) AS low, arg_max(price, timestamp) AS close, sum(volume) AS volume
    FROM read_parquet(?)
    WHERE timestamp >= make_timestamp(?) AND timestamp < make_timestamp(?)
    GROUP BY minute ORDER BY minute
"""


def store(path: str, start: int, end: int) -> Answer:
    """Use this project's reader."""
    from store.reading import Reader

    began = time.perf_counter()
    bars = Reader(path).bars("BENCH", start * _NS, end * _NS)
    return time.perf_counter() - began, len(bars), float(bars.volume.sum() + bars.close.sum())


def pandas(path: str, start: int, end: int) -> Answer:
    """Use `read_csv` for only the needed columns, and `resample`."""
    import pandas as pd

    began = time.perf_counter()
    columns = ["timestamp", "price", "volume"]
    frame = pd.read_csv(path, usecols=columns, parse_dates=["timestamp"], index_col="timestamp")
    day = frame[pd.Timestamp(start, unit="s", tz="UTC") : pd.Timestamp(end * _NS - 1, tz="UTC")]
    minutes = day.resample("1min")
    bars = minutes["price"].ohlc().assign(volume=minutes["volume"].sum()).dropna()
    return time.perf_counter() - began, len(bars), float(bars["volume"].sum() + bars["close"].sum())


def duckdb(path: str, start: int, end: int) -> Answer:
    """Use SQL over Parquet. The result is a list of Python tuples."""
    import duckdb as db

    began = time.perf_counter()
    rows = db.execute(_SQL, [path, start * 1_000_000, end * 1_000_000]).fetchall()
    return time.perf_counter() - began, len(rows), float(sum(row[4] + row[5] for row in rows))


def polars(path: str, start: int, end: int) -> Answer:
    """Use a lazy scan of Parquet. The result is a DataFrame."""
    import polars as pl

    began = time.perf_counter()
    bounds = (pl.lit(bound * 1_000_000).cast(pl.Datetime("us")) for bound in (start, end))
    price = pl.col("price")
    bars = (
        pl.scan_parquet(path)
        .filter(pl.col("timestamp").is_between(*bounds, closed="left"))
        .group_by_dynamic("timestamp", every="1m")
        .agg(
            open=price.first(),
            high=price.max(),
            low=price.min(),
            close=price.last(),
            volume=pl.col("volume").sum(),
        )
        .collect()
    )
    return time.perf_counter() - began, bars.height, float(bars["volume"].sum() + bars["close"].sum())


PEERS: dict[str, Callable[[str, int, int], Answer]] = {
    "store": store,
    "pandas": pandas,
    "duckdb": duckdb,
    "polars": polars,
}

if __name__ == "__main__":
    print(json.dumps(PEERS[sys.argv[1]](sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
