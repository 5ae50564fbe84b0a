"""Implied volatility and greeks, as functions of columns. No Django and no store."""
