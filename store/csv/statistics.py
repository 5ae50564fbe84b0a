"""What a log holds, counted from its commit records and its files."""

from pathlib import Path

from store.csv.log.commit_log import COMMITS_FILE
from store.csv.log.index_files import DERIVED_FOLDER
from store.csv.parts.commit import PartKind, decode_commit
from store.maintained import LogStatistics
from store.protocol import NO_COMMIT


def log_statistics(folder: Path) -> LogStatistics:
    """The counts of the log in a folder. Raises `DataDamaged`, `OSError`."""
    head, rows, first, last = NO_COMMIT, 0, None, None
    with (folder / COMMITS_FILE).open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            commit, head = decode_commit(line[:-1], head)
            for part in commit.parts:
                if part.kind != PartKind.ROWS:
                    continue
                rows += part.rows
                first = part.first_ns if first is None else min(first, part.first_ns)
                last = part.last_ns if last is None else max(last, part.last_ns)
    sizes = [path.stat().st_size for path in folder.glob("*.csv")]
    derived = [path.stat().st_size for path in (folder / DERIVED_FOLDER).rglob("*") if path.is_file()]
    return LogStatistics(head.number, rows, sum(sizes), sum(derived), first, last)
