"""The demo market: made-up trades, and a feed that posts them to a running server."""
