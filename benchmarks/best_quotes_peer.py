"""The best bid and offer in polars.

Run as `python -m benchmarks.best_quotes_peer PATH TRIES` with a Parquet file of quotes. Prints a JSON list: the
processor seconds of the fastest try without reading the file, and the number of changes.
"""

import json
import sys
import time

import polars as pl


def changes(quotes: pl.DataFrame) -> pl.DataFrame:
    """Return a row for each change of the best."""
    count = quotes["venue"].n_unique()
    wide = quotes.lazy().with_row_index("row")
    wide = wide.with_columns(
        pl.when(pl.col("venue") == venue).then(pl.col(name)).forward_fill().alias(f"{name}_{venue}")
        for venue in range(count)
        for name in ("bid", "bid_size", "ask", "ask_size", "row")
    )
    for side, best_of in (("bid", pl.max_horizontal), ("ask", pl.min_horizontal)):
        wide = wide.with_columns(best_of(f"{side}_{venue}" for venue in range(count)).alias(f"best_{side}"))
        at_best = [pl.col(f"{side}_{venue}") == pl.col(f"best_{side}") for venue in range(count)]
        sizes = (pl.when(at_best[venue]).then(pl.col(f"{side}_size_{venue}")) for venue in range(count))
        wide = wide.with_columns(pl.max_horizontal(sizes).alias(f"best_{side}_size"))
        size = pl.col(f"best_{side}_size")
        rows = (
            pl.when(at_best[venue] & (pl.col(f"{side}_size_{venue}") == size)).then(pl.col(f"row_{venue}"))
            for venue in range(count)
        )
        wide = wide.with_columns(pl.col("venue").gather(pl.min_horizontal(rows)).alias(f"best_{side}_venue"))
    best = [f"best_{side}{what}" for side in ("bid", "ask") for what in ("", "_size", "_venue")]
    is_changed = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift()) for name in best)
    return wide.filter(is_changed).select("time_ns", *best).collect()


def main(path: str, tries: int) -> None:
    """Measure and print."""
    quotes, seconds, count = pl.read_parquet(path), [], 0
    for _ in range(tries):
        started = time.process_time()
        count = len(changes(quotes))
        seconds.append(time.process_time() - started)
    print(json.dumps([min(seconds), count]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
