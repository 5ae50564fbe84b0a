"""The append-only log of API calls and events."""
