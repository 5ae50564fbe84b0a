"""`manage.py import PATTERN…`: imports files."""

from trades.management.import_command import ImportCommand as Command

__all__ = ["Command"]
