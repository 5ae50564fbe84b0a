"""Turns a snapshot, which reads fixed commits, into a response: ETag, encoding, headers and body."""
