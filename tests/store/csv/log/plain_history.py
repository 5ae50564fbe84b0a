"""A reference implementation of a log's history, which scans all commits; and random logs."""

import random
from pathlib import Path

from store.commits import Facts
from store.csv.files.commit_records import (
    AcceptedBatch,
    Commit,
    Part,
    PartKind,
    StoredPart,
    block_checksums,
    decode_commit,
    encode_commit,
    rows_in,
)
from store.protocol import ALL_TIME, NO_COMMIT, CommitId, Completeness, Fill, Superseded, Window
from store.timestamps import DAY_NS

FIRST_DAY = 20_000


class PlainHistory:
    """A list of all commits."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.ids: list[CommitId] = [NO_COMMIT]

    def add(self, commit: Commit, commit_id: CommitId) -> None:
        self.commits.append(commit)
        self.ids.append(commit_id)

    def head(self, commit: int | None = None) -> CommitId:
        return self.ids[len(self.commits) if commit is None else commit]

    def committed_at(self) -> int:
        return self.commits[-1].facts.committed_at if self.commits else 0

    def commit_as_of(self, instant_ns: int) -> int:
        return sum(commit.facts.committed_at <= instant_ns for commit in self.commits)

    def completeness(self, number: int) -> Completeness:
        commits = self.commits[:number]
        newest = [min(part.last_ns, commit.facts.committed_at) for commit in commits for part in commit.parts]
        declared = [
            commit.facts.complete_until_ns for commit in commits if commit.facts.complete_until_ns is not None
        ]
        nothing = ALL_TIME.start_ns
        return Completeness(max(newest, default=nothing), max(declared, default=nothing))

    def accepted(self, caller: str, key_hash: str) -> AcceptedBatch | None:
        for commit in reversed(self.commits):
            if (commit.facts.caller, commit.facts.key_hash) == (caller, key_hash):
                return AcceptedBatch(
                    commit.facts.digest, commit.facts.receipt(self.ids[commit.number].hash, replayed=True)
                )
        return None

    def fills(self, window: Window, commit: int | None = None) -> list[tuple[int, Fill]]:
        return [
            (each.number, each.facts.fill)
            for each in self.commits[:commit]
            if each.facts.fill
            and each.facts.fill.window.start_ns < window.end_ns
            and window.start_ns < each.facts.fill.window.end_ns
        ]

    def file_end(self, file: str) -> int:
        return next((p.end for c in reversed(self.commits) for p in c.parts if p.file == file), 0)

    def rows(self) -> int:
        return sum(part.rows for c in self.commits for part in c.parts if part.kind == PartKind.ROWS)

    def stored(self, after: int = 0, commit: int | None = None) -> list[StoredPart]:
        """Return the parts in order of arrival."""
        parts, arrival = [], 0
        for made in self.commits[:commit]:
            for part in made.parts:
                is_rows = part.kind == PartKind.ROWS
                if made.number > after:
                    parts.append(StoredPart(made.number, arrival if is_rows else 0, part))
                arrival += part.rows if is_rows else 0
        return parts

    def parts_in(self, window: Window, commit: int | None = None, *, after: int = 0) -> list[StoredPart]:
        found = [
            stored
            for stored in self.stored(after, commit)
            if stored.part.first_ns < window.end_ns and stored.part.last_ns >= window.start_ns
        ]
        return sorted(found, key=lambda stored: (stored.part.day, stored.commit))

    def first_from(self, instant_ns: int, commit: int | None) -> int | None:
        found = (each.commit for each in self.stored(0, commit) if each.part.last_ns >= instant_ns)
        return min(found, default=None)

    def change_bound(self, window: Window, interval_ns: int, after: int, commit: int | None) -> int:
        bound = 0
        for stored in self.parts_in(window, commit, after=after):
            times = max(stored.part.first_ns, window.start_ns), min(stored.part.last_ns, window.end_ns - 1)
            first, last = (each // interval_ns for each in times)
            bound += min(stored.part.rows, last - first + 1)
        return bound

    def newest_by_date(self, window: Window, commit: int | None = None) -> dict[int, int]:
        first, last = window.start_ns // DAY_NS, (window.end_ns - 1) // DAY_NS
        return {s.part.day: s.commit for s in self.stored(0, commit) if first <= s.part.day <= last}

    def version(self, window: Window, commit: int | None = None) -> CommitId:
        return self.head(max(self.newest_by_date(window, commit).values(), default=0))

    def times_on(self, date: int) -> tuple[int, int] | None:
        parts = [stored.part for stored in self.stored() if stored.part.day == date]
        if not parts:
            return None
        return min(part.first_ns for part in parts), max(part.last_ns for part in parts)


class LogWriter:
    """Appends random commits to a log's file. There are few dates and keys, so they repeat."""

    def __init__(self, path: Path, seed: int, *, dates: int = 12) -> None:
        self.path = path
        self.random = random.Random(seed)
        self.dates = dates
        self.history = PlainHistory()
        self.ends: dict[str, int] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def write(self, count: int) -> None:
        lines = []
        for _ in range(count):
            commit = self.commit()
            previous = self.history.head()
            line, _ = encode_commit(commit, previous.hash)
            self.history.add(*decode_commit(line[:-1], previous))
            lines.append(line)
        with self.path.open("ab") as file:
            file.write(b"".join(lines))

    def commit(self) -> Commit:
        choice = self.random
        days = choice.sample(range(FIRST_DAY, FIRST_DAY + self.dates), choice.randint(0, 3))
        parts = [self.part(day, PartKind.ROWS) for day in days]
        if choice.random() < 0.2:
            parts += [self.part(day, PartKind.CORRECTIONS) for day in days]
        start = (FIRST_DAY + choice.randrange(self.dates)) * DAY_NS
        fill = Fill(Window(start, start + choice.choice([1, 3 * DAY_NS])), "other", "trades", "7-abc")
        facts = Facts(
            number=len(self.history.commits) + 1,
            committed_at=self.history.committed_at() + choice.randint(1, 5),
            caller=choice.choice(["key:1", "key:2"]),
            digest=f"{choice.randrange(50):064x}",
            received=sum(part.rows for part in parts),
            rows=rows_in(parts, PartKind.ROWS),
            corrections=rows_in(parts, PartKind.CORRECTIONS),
            duplicate_rows=tuple(range(choice.randint(0, 2))),
            key_hash=choice.choice([None, None, str(choice.randrange(50))]),
            complete_until_ns=choice.choice(
                [None, None, (FIRST_DAY + choice.randrange(self.dates)) * DAY_NS]
            ),
            fill=choice.choice([None, None, None, fill]),
            superseded=choice.choice(
                [(), (), (Superseded(start, start + 5), Superseded(start, start, "1m"))]
            ),
        )
        return Commit(facts, tuple(parts))

    def part(self, day: int, kind: PartKind) -> Part:
        choice = self.random
        file = f"{day}.csv" if kind == PartKind.ROWS else f"{day}.corrections.csv"
        start, length = self.ends.get(file, 20), choice.randint(1, 9000)
        self.ends[file] = start + length
        first = day * DAY_NS + choice.randrange(DAY_NS)
        last = choice.randint(first, (day + 1) * DAY_NS - 1)
        return Part(
            file, start, length, choice.randint(1, 9), first, last, block_checksums(bytes(length)), kind
        )
