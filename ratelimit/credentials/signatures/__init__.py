"""Signed requests, and the nonces that were used."""
