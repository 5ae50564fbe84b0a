"""Writes market data: ingest, corrections, CSV imports and instruments."""
