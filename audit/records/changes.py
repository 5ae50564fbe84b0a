"""What changed between two documents. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_MISSING = object()


class Change(NamedTuple):
    """One place of a document (`a.b`) and what was and is there; only one of them where it came or went."""

    path: str
    values: dict[str, Any]


def changes(before: Any, after: Any) -> list[dict[str, Any]]:
    """The places that differ, in order: `{"path": "a.b", "before": 1, "after": 2}`. Lists are compared whole.

    What was not there before has no `before`, what is gone no `after`.
    """
    return [{"path": change.path, **change.values} for change in _changes("", before, after)]


def _changes(path: str, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted({*map(str, before), *map(str, after)}):
            place = f"{path}.{name}" if path else name
            yield from _changes(place, before.get(name, _MISSING), after.get(name, _MISSING))
    elif before != after or type(before) is not type(after):
        yield Change(path, {
            name: value for name, value in (("before", before), ("after", after)) if value is not _MISSING
        })  # fmt: skip
