"""Paged lists: filters, keyset pagination, cursors with an HMAC. This package imports none of the apps."""
