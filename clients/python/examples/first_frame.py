"""Prints the newest minute bars of a symbol as a pandas frame: KEY=md_… python first_frame.py [SYMBOL]."""

import os
import sys

from marketdata_client import Client

symbol = sys.argv[1] if len(sys.argv) > 1 else "DEMOA"
with Client(os.environ.get("URL", "http://127.0.0.1:8000"), os.environ["KEY"]) as client:
    print(client.bars(symbol, "1m", last=390).pandas())
