"""Instruments: what may be told of them, how they are found, and their endpoints."""
