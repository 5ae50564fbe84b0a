"""Requests with an Idempotency-Key: the key, its errors, and the answers stored in the database.

Ingest stores its answers in the market store's commits instead. Imports none of the apps.
"""
