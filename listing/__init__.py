"""Paged lists: filters, keyset pagination, cursors with an HMAC. Imports none of the apps."""
