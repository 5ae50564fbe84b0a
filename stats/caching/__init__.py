"""The response cache and its endpoints."""
