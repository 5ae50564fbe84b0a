"""Builds a commit index from an older index and the commits after it.

Needs about 110 bytes of memory per commit of the older index, plus the new commits.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from store.arrays import Integers
from store.csv.files.column_file import ColumnWriter, MappedColumn, Records, records_in_piece
from store.csv.files.commit_records import Commit, CommitLine, PartKind
from store.csv.log.commit_index import DTYPES, KIND, SEARCHED, CommitIndex, superseded_records, text_hash
from store.protocol import NO_COMMIT, NOTHING_COMPLETE
from store.timestamps import DAY_NS

_PIECES_IN_RUN = 64


class IndexBuilder:
    """Collects commits. `write` writes an index of the older index's commits and these. head: the newest one."""

    def __init__(self, base: CommitIndex) -> None:
        self._base = base
        self.head, self._end = base.head, base.end
        self._committed_at, self._rows = base.committed_at, base.rows
        self._completeness = base.newest_completeness
        self._kinds = {kind: index for index, kind in enumerate(base.kinds)}
        self._new: dict[str, list[Records]] = {name: [] for name in DTYPES}
        self._text_end = len(base.columns["texts"])
        names = [base.file_name(index) for index in range(len(base.columns["files"]))]
        self._files = {name: index for index, name in enumerate(names)}
        self._file_ends: dict[int, int] = {}

    def add(self, added: Sequence[CommitLine]) -> None:
        """Add the commits after the newest one, in order."""
        if not added:
            return
        commits = [commit for commit, _, _ in added]
        records = []
        for commit, commit_id, end in added:
            self._completeness = commit.completeness_after(self._completeness)
            numbers = (
                commit.facts.committed_at,
                end,
                self._completeness.newest_ns,
                self._completeness.complete_until_ns,
            )
            records.append((bytes.fromhex(commit_id.hash), *numbers))
        self._collect("commits", records)
        self._add_parts(commits)
        facts = [commit.facts for commit in commits]
        self._collect("digests", [(text_hash(each.digest), each.number) for each in facts])
        keyed = [(each, each.key_hash) for each in facts if each.key_hash is not None]
        self._collect("keys", [(text_hash(each.caller, key_hash), each.number) for each, key_hash in keyed])
        windows = [(each.fill.window, each.number) for each in facts if each.fill is not None]
        self._new["superseded"].append(superseded_records(facts))
        self._collect("fills", [(window.start_ns, window.end_ns, number) for window, number in windows])
        self._committed_at = facts[-1].committed_at
        _, self.head, self._end = added[-1]

    @property
    def number(self) -> int:
        """The number of the newest commit."""
        return self.head.number

    def in_memory(self) -> CommitIndex:
        """Return the index in memory, without a file."""
        file = io.BytesIO()
        self.write(file)
        return CommitIndex.of(file.getvalue())

    def write(self, file: BinaryIO) -> None:
        """Write the index. Raises `ColumnsDamaged` if the older index is damaged, and `OSError`."""
        texts, files = self._texts_and_files()
        writer = ColumnWriter(file)
        for name, new in (("commits", self._joined("commits")), ("texts", texts)):
            _write(writer, name, _runs(self._base.columns[name], new))
        _write(writer, "files", [files])
        self._write_parts(writer)
        for name in ("fills", "superseded"):
            _write(writer, name, _runs(self._base.columns[name], self._joined(name)))
        for name in ("keys", "digests"):
            old, new = self._base.columns[name], self._joined(name)
            order = np.argsort(np.concatenate([old.all()["hash"], new["hash"]]), kind="stable")
            _write(writer, name, _runs(old, new, order))
        writer.finish(KIND, self._facts())

    def _facts(self) -> Mapping[str, int | str | list[str]]:
        return {
            "number": self.head.number,
            "hash": self.head.hash,
            "committed_at": self._committed_at,
            "end": self._end,
            "rows": self._rows,
            "newest_ns": self._completeness.newest_ns,
            "complete_until_ns": self._completeness.complete_until_ns,
            "kinds": list(self._kinds),
        }

    def _add_parts(self, commits: Sequence[Commit]) -> None:
        records, texts, arrival = [], [], self._rows
        for commit in commits:
            for part in commit.parts:
                is_rows = part.kind == PartKind.ROWS
                file = self._files.setdefault(part.file, len(self._files))
                kind = self._kinds.setdefault(part.kind, len(self._kinds))
                self._file_ends[file] = part.end
                text = part.checksums.encode()
                bounds, arrivals = (part.first_ns, part.last_ns), arrival if is_rows else 0
                numbers = (part.length, part.rows, commit.number, file, kind)
                records.append((*bounds, arrivals, part.offset, self._text_end, len(text), *numbers))
                self._text_end += len(text)
                texts.append(text)
                arrival += part.rows if is_rows else 0
        self._rows = arrival
        self._collect("parts", records)
        self._new["texts"].append(np.frombuffer(b"".join(texts) or bytearray(), np.uint8))

    def _collect(self, name: str, records: Sequence[Any]) -> None:
        self._new[name].append(np.array(records, DTYPES[name]))

    def _joined(self, name: str) -> Records:
        return np.concatenate([np.empty(0, DTYPES[name]), *self._new[name]])

    def _texts_and_files(self) -> tuple[Records, Records]:
        """Return the new records of the column `texts`, and all records of the column `files`."""
        files = np.zeros(len(self._files), DTYPES["files"])
        old = self._base.columns["files"].all()
        files[: len(old)] = old
        text_end, names = self._text_end, []
        for file, index in list(self._files.items())[len(old) :]:
            name = file.encode()
            files[index] = (text_hash(file), 0, text_end, len(name))
            names.append(name)
            text_end += len(name)
        for index, end in self._file_ends.items():
            files["end"][index] = end
        return np.concatenate([self._joined("texts"), np.frombuffer(b"".join(names), np.uint8)]), files

    def _write_parts(self, writer: ColumnWriter) -> None:
        old, new = self._base.columns["parts"], self._joined("parts")
        dates = _dates(old, new)
        order = np.argsort(dates, kind="stable")
        _write(writer, "parts", _runs(old, new, order))
        commits = np.concatenate([self._base.columns["part_commits"].all(), new["commit"]], dtype=np.int32)
        commits = commits[order]
        _write(writer, "part_commits", _split(commits, "part_commits"))
        distinct, firsts = np.unique(dates[order], return_index=True)
        lasts = np.append(firsts[1:], len(dates))[: len(firsts)] - 1
        bounds = self._bounds(distinct, new)
        for name, values in (
            ("dates", distinct),
            ("first_part", firsts),
            ("newest", commits[lasts]),
            ("first_ns", bounds[0]),
            ("last_ns", bounds[1]),
        ):
            _write(writer, name, _split(values, name))

    def _bounds(self, dates: Integers, new: Records) -> tuple[Integers, Integers]:
        """Return two columns: the smallest and the largest event time of each date."""
        first, last = np.full(len(dates), np.iinfo(np.int64).max), np.full(len(dates), np.iinfo(np.int64).min)
        old = dates.searchsorted(self._base.dates)
        first[old], last[old] = self._base.first_ns, self._base.last_ns
        indices = dates.searchsorted(new["first_ns"] // DAY_NS)
        np.minimum.at(first, indices, new["first_ns"])
        np.maximum.at(last, indices, new["last_ns"])
        return first, last


def _dates(old: MappedColumn, new: Records) -> Integers:
    firsts = [run["first_ns"] // DAY_NS for run in _runs(old, new)]
    return np.concatenate([np.empty(0, np.int64), *firsts])


def _runs(old: MappedColumn, new: Records, order: Integers | None = None) -> Iterator[Records]:
    """Yield all records in arrays of many pieces: the old ones, then the new ones.

    order: if given, the indices of the records (old, then new) in the order in which to yield them.
    """
    count, size = len(old) + len(new), _run_size(new.dtype)
    for start in range(0, count, size):
        stop = min(start + size, count)
        if order is None:
            first = old.part(min(start, len(old)), min(stop, len(old)))
            yield np.concatenate([first, new[max(0, start - len(old)) : max(0, stop - len(old))]])
        else:
            indices = order[start:stop]
            is_old = indices < len(old)
            run = np.empty(len(indices), new.dtype)
            run[is_old] = old.all()[indices[is_old]]
            run[~is_old] = new[indices[~is_old] - len(old)]
            yield run


def _split(values: Records, name: str) -> Iterator[Records]:
    size = _run_size(DTYPES[name])
    return (values[start : start + size] for start in range(0, len(values), size))


def _run_size(dtype: np.dtype[Any]) -> int:
    return _PIECES_IN_RUN * records_in_piece(dtype)


def _write(writer: ColumnWriter, name: str, runs: Iterable[Records]) -> None:
    writer.write(name, DTYPES[name], runs, searched=SEARCHED.get(name))


def _empty() -> CommitIndex:
    file = io.BytesIO()
    writer = ColumnWriter(file)
    for name in DTYPES:
        _write(writer, name, [])
    writer.finish(
        KIND,
        {
            "number": 0,
            "hash": NO_COMMIT.hash,
            "committed_at": 0,
            "end": 0,
            "rows": 0,
            "newest_ns": NOTHING_COMPLETE.newest_ns,
            "complete_until_ns": NOTHING_COMPLETE.complete_until_ns,
            "kinds": [PartKind.ROWS],
        },
    )
    return CommitIndex.of(file.getvalue())


EMPTY = _empty()
