"""Joins columns in memory by polars. Run as `python -m benchmarks.join_peer FOLDER`, in the peers' environment.

FOLDER has `trades.arrow` and `quotes.arrow`. Prints a JSON list: the processor seconds of a join, and the sum of the bids
and the ask sizes that it found.
"""

import json
import sys
import time

_COLUMNS = ["timestamp", "bid", "bid_size", "ask", "ask_size"]


def join(folder: str) -> tuple[float, float]:
    """Join twice; return the processor seconds of the second time, and a sum over the rows."""
    import polars as pl

    trades = pl.read_ipc(f"{folder}/trades.arrow", columns=["timestamp", "price", "volume"])
    quotes = pl.read_ipc(f"{folder}/quotes.arrow", columns=_COLUMNS)
    trades = trades.set_sorted("timestamp")
    quotes = quotes.with_columns(quote_timestamp=pl.col("timestamp")).set_sorted("timestamp")
    seconds = 0.0
    for _ in range(2):
        began = time.process_time()
        joined = trades.join_asof(quotes, on="timestamp", strategy="backward")
        seconds = time.process_time() - began
    return seconds, float(joined["bid"].sum() + joined["ask_size"].sum())


if __name__ == "__main__":
    print(json.dumps(join(sys.argv[1])))
