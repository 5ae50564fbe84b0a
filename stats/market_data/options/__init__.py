"""Greeks, implied volatilities and surfaces from quotes of options."""
