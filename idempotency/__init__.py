"""Requests with an Idempotency-Key: the key, its errors, and answers stored in the database.

Ingest is different: its answers are stored in the commits of the market-data files. Imports none of the apps.
"""
