"""Prints the newest minute bars of a symbol as a pandas frame: KEY=md_… python first_frame.py [SYMBOL]."""

import os
import sys

from marketdata_client import Client, MarketDataError, Unreachable

symbol = sys.argv[1] if len(sys.argv) > 1 else "DEMOA"
try:
    with Client(os.environ.get("URL", "http://127.0.0.1:8000"), os.environ["KEY"]) as client:
        print(client.bars(symbol, "1m", last=390).pandas().to_string(max_rows=10))
except KeyError:
    sys.exit("Set KEY to the key that `make run` printed: export KEY=md_…")
except Unreachable as error:
    sys.exit(f"{error}. Is the server running? Set URL if it has another address than http://127.0.0.1:8000.")
except MarketDataError as error:
    sys.exit(f"{error}")
