"""Exports: rows of market data as files."""
