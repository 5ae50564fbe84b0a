"""Quotes, and bars of the bid and the ask."""
