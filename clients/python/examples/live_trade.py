"""Stores two trades of your own: the first is history, the second comes by the live feed.

KEY=md_… python live_trade.py [SYMBOL [PRICE]]
"""

import os
import sys
from datetime import UTC, datetime

from marketdata_client import Client

symbol = sys.argv[1] if len(sys.argv) > 1 else "MINE"
price = float(sys.argv[2]) if len(sys.argv) > 2 else 100.0


def store(client: Client) -> None:
    trade = {"timestamp": datetime.now(UTC).isoformat(), "symbol": symbol, "price": price, "volume": 1}
    client.ingest("trades", [trade])


with Client(os.environ.get("URL", "http://127.0.0.1:8000"), os.environ["KEY"]) as client:
    store(client)
    for frame in client.follow("trades", symbol, last=5):
        print(frame.kind, frame.rows)
        if frame.kind == "rows":
            break
        store(client)
