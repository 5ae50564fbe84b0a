"""Turns a pinned query into a response: ETag, encoding, headers and body."""
