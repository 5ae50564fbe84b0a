"""Paged lists: filters, keyset pagination, cursors with an HMAC."""
