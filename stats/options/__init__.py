"""Option analytics: implied volatility and greeks, as functions of columns that know neither Django nor a store."""
