"""Derived files, which may be deleted at any time: columns, rollups and sessions, up to a commit."""
