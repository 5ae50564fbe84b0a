"""What quotes of options imply: greeks, volatilities, surfaces."""
