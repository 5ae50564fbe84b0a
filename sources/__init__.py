"""Exchanges, vendors and other places that have market data: what they are asked, and what they give."""
