"""The read side of the API: market data made from stored rows, and trading sessions."""
