"""Turns a pinned query, which reads fixed commits, into a response: ETag, encoding, headers and body."""
