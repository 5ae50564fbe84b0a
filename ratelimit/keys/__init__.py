"""API keys: their format, creation, rotation, revocation, and look-up on each request."""
