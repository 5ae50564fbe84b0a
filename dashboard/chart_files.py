"""Finds the chart library's script among the package's files. Its other files are pages for desktops, not to be served."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.staticfiles.finders import FileSystemFinder

_SERVED = "lightweight-charts.js"


class ChartFileFinder(FileSystemFinder):
    """Finds only the script in the folders of STATICFILES_DIRS."""

    def find_location(self, root: str, path: str, prefix: str | None = None) -> str | None:
        """Return the script's path, None for any other file."""
        return super().find_location(root, path, prefix) if path == f"{prefix}/{_SERVED}" else None

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[Any]:
        """Yield the script's name and its storage."""
        return (found for found in super().list(ignore_patterns) if found[0] == _SERVED)
