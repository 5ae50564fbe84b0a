"""Derived files: columns, rollups and session bars of a log up to a commit. They may be deleted at any time."""
