"""Writes the store. Run it with the version that README.md names."""

import sys
from pathlib import Path

from store.csv import CsvStore
from store.datasets import BARS
from tests.store.builders import DAY, Clock, append_of, bar, batch, fill_of, trade

FILL = fill_of(0, DAY)


if __name__ == "__main__":
    store = CsvStore(Path(sys.argv[1]), clock=Clock())
    filled = [trade(1, 1.0), trade(2, 2.0), trade(3, 3.0, trade_id="a"), trade(9, 4.0)]
    store.append(batch(*filled, fill=FILL))
    store.append(batch(filled[0], filled[2]))
    store.append(append_of(BARS, bar(0, 1.0), bar(1, 1.0), bar(2, 1.0), bar(0, 5.0, "5m"), fill=FILL))
    store.append(append_of(BARS, bar(0, 1.0), bar(2, 1.0)))
