"""Bars of trades, and bars that others made."""
