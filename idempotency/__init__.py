"""Requests with an Idempotency-Key: parsed, whose it is, refusals, and the answers that the database keeps.

The market store keeps its own answers in its commits. Knows none of the apps.
"""
