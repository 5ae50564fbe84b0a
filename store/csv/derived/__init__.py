"""Derived files: columns, rollups and sessions up to a commit. They may be deleted at any time."""
