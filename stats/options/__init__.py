"""Implied volatility and greeks, as functions of columns. Uses neither Django nor stored rows."""
