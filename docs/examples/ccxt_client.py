"""ccxt's class for Alpaca, with the URL of this service: `python docs/examples/ccxt_client.py http://127.0.0.1:8000 KEY BTC/USD`.

Needs `pip install ccxt`. The key has one account, and the scope `trading:direct` to place orders.
"""

import sys
from typing import Any

import ccxt


def exchange_at(url: str, key: str) -> Any:
    """Return an exchange of ccxt that reads market data and trades on paper at a service's URL, by an API key."""
    # ccxt sends no key for market data, which here needs one.
    exchange = ccxt.alpaca({"apiKey": key, "secret": "unused", "headers": {"X-API-Key": key}})
    exchange.urls["api"] = dict.fromkeys(("trader", "market"), f"{url}/api")
    return exchange


if __name__ == "__main__":
    shop = exchange_at(*sys.argv[1:3])
    pair = sys.argv[3]
    for instant, *prices, volume in shop.fetch_ohlcv(pair, "1d", limit=5):
        print(shop.iso8601(instant), *prices, volume)
    print(shop.fetch_balance()["total"])
