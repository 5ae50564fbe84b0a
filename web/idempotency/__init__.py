"""Requests with an Idempotency-Key: the key, its errors, and answers stored in the database.

Answers of ingest are stored elsewhere, in the commits of the market-data files.
"""
