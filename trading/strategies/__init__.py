"""Strategies: their base class, the host that shows them what is known, and backtests."""
