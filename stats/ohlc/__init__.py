"""The endpoint `/stats/ohlc`: bars of one symbol at four intervals, the oldest endpoint of the API."""
