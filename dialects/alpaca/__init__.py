"""Alpaca's wire format: its unmodified clients work with the base URL `http://host/api`."""
