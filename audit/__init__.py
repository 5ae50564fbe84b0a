"""The append-only record of every API call."""
