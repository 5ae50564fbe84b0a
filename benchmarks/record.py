"""What was measured, and when: `measured.json`, and the tables of docs/performance.md that are written from it."""

import fnmatch
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from benchmarks.processes import BASE_DIR
from benchmarks.report import Goal, Ratio, Row

RECORD = BASE_DIR / "benchmarks" / "measured.json"
PAGE = BASE_DIR / "docs" / "performance.md"
# The lines with which the page begins, as benchmarks and patterns of their cases.
HEADLINES = (
    ("held", "bars of `/stats/ohlc`*against pipelined FastAPI"),
    ("held", "`latest`*against pipelined FastAPI"),
    ("market_data", "1,000 bars of a page of the tree, not held, against held: processor time"),
    ("ingest", "time of an ingest, against the bare work*"),
    ("small_batches", "2,000 symbols*8 clients*"),
    ("import", "import of *against pyarrow*"),
    ("cold", "bars of a day*cold process, against DuckDB*"),
    ("gaps", "gaps of * by evidence*"),
    ("gaps", "gaps of * by calendar*"),
    ("replay", "replay() of *of 10 symbols*"),
    ("backtests", "a backtest of *, 6,247 fills, against backtesting.py*"),
    ("live", "*per core, without the ingest*"),
)
_OLDER = ", code changed since"


@dataclass(frozen=True, slots=True)
class Measured:
    """A benchmark's rows. day: when they were measured; commit: of which commit."""

    day: str
    commit: str | None
    rows: list[Ratio]

    def is_older_than(self, code: Sequence[str]) -> bool:
        """Return whether one of these files or folders was changed by a later commit, or cannot be told."""
        return _git("log", "-1", "--format=%h", f"{self.commit}..HEAD", "--", *code) != ""


def read() -> dict[str, Measured]:
    """Return what was measured, by the benchmark's name."""
    found: dict[str, dict[str, object]] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return {name: _measured(values) for name, values in found.items()}


def keep(name: str, rows: Iterable[Row]) -> None:
    """Keep a benchmark's ratios instead of those that were measured before."""
    ratios = [row for row in rows if isinstance(row, Ratio)]
    made = Measured(f"{datetime.now(UTC):%Y-%m-%d}", _git("rev-parse", "HEAD"), ratios)
    _write(read() | {name: made})


def _write(found: Mapping[str, Measured]) -> None:
    lines = [f"{json.dumps(name)}: {json.dumps(asdict(each))}" for name, each in sorted(found.items())]
    RECORD.write_text("{" + ",\n".join(lines) + "}\n")


def write_page(code: Mapping[str, Sequence[str]]) -> None:
    """Write the tables and the picture of docs/performance.md. code: what each benchmark measures.

    Exits without the rows of a benchmark that has headlines.
    """
    found = {name: measured for name, measured in read().items() if name in code}
    if missing := {name for name, _ in HEADLINES} - found.keys():
        sys.exit(f"Measure these first: {', '.join(sorted(missing))}")
    days = {
        name: measured.day + (_OLDER if measured.is_older_than(code[name]) else "")
        for name, measured in found.items()
    }
    first = [
        (row, days[name])
        for name, pattern in HEADLINES
        for row in (found[name].rows if name in found else ())
        if fnmatch.fnmatchcase(row.name, pattern)
    ]
    shown = {row.name for row, _ in first}
    missed = [
        (row, days[name])
        for name, measured in sorted(found.items())
        for row in measured.rows
        if row.name not in shown and ("missed" in row.outcome or ("loses" in row.outcome and not row.goal))
    ]
    blocks = {
        "headlines": _table(first),
        "picture": _picture(row for row, _ in first),
        "missed": _list(missed),
    }
    text = PAGE.read_text()
    for name, block in blocks.items():
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)",
            lambda found, block=block: f"{found[1]}{block}\n{found[2]}",
            text,
            flags=re.DOTALL,
        )
    PAGE.write_text(text)


def _measured(values: Mapping[str, object]) -> Measured:
    rows = [Ratio(**{**row, "goal": row["goal"] and Goal(**row["goal"])}) for row in values["rows"]]
    return Measured(str(values["day"]), values["commit"] and str(values["commit"]), rows)


def _table(rows: Iterable[tuple[Ratio, str]]) -> str:
    lines = ["| case | here | beside it | ratio | goal | measured |", "|---|--:|--:|--:|---|---|"]
    for row, day in rows:
        name, here, beside, ratio, goal, outcome = row.cells()
        words = ", ".join(filter(None, (goal, outcome)))
        lines.append(f"| {name} | {here} | {beside} | {ratio} | {words} | {day} |")
    return "\n".join(lines)


def _list(rows: Iterable[tuple[Ratio, str]]) -> str:
    lines = []
    for row, day in rows:
        name, here, _, ratio, goal, _ = row.cells()
        figure = here if row.goal and row.goal.unit else ratio
        lines.append(f"- {name}: {figure}{goal and f' ({goal})'}, {day}")
    return "\n".join(lines)


def _picture(rows: Iterable[Ratio]) -> str:
    """Return a bar for each ratio: to the right if this project is faster. One # is a factor of two."""
    return "\n".join(
        [
            "```",
            f"{'one # is a factor of two':52}   slower | faster than what is beside it",
            *_bars(rows),
            "```",
        ]
    )


def _bars(rows: Iterable[Ratio]) -> Iterator[str]:
    for row in rows:
        if row.ratio:
            faster = row.ratio if row.unit.endswith("/s") else 1 / row.ratio
            bar = "#" * round(abs(math.log2(faster)))
            left, right = ("", bar) if faster > 1 else (bar, "")
            yield f"{row.name[:52]:52} {left:>8} | {right:8} {faster:.2g} times"


def _git(*arguments: str) -> str | None:
    """Return what git prints; None without git, or if it refuses."""
    command = ["git", "-C", str(BASE_DIR), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return None if done.returncode else done.stdout.strip()
