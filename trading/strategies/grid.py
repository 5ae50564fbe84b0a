"""A grid of parameters: a backtest of each combination, on all cores, as a table, a CSV file, and a page with a heat map."""

import csv
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from itertools import product
from math import prod
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import django
import msgspec
from django.template.loader import render_to_string

from store import open_store
from store.reading import Reader
from trading.strategies.backtest import BacktestInputs
from trading.strategies.catalogue import StrategyError, strategy_given
from trading.strategies.outcome import document_bytes, outcome_of

MOST_RUNS = 1_000
_TWO = 2
# A figure of a table: its name, its title, and its format.
Figure = tuple[str, str, str]


class GridRow(NamedTuple):
    """A combination, as texts, and what came of it: the result of its backtest, or why there is none."""

    parameters: dict[str, str]
    result: dict[str, Any] | None
    refused: str | None = None


def combinations_of(values: Mapping[str, str]) -> list[dict[str, str]]:
    """Return each combination of parameters whose values are given as `5,10,20`. Raises StrategyError."""
    lists = {name: list(dict.fromkeys(text.split(","))) for name, text in values.items()}
    count = prod(map(len, lists.values()))
    if count > MOST_RUNS:
        raise StrategyError(
            f"the grid has {count:,} combinations, at most {MOST_RUNS:,} run: give fewer values"
        )
    return [dict(zip(lists, each, strict=True)) for each in product(*lists.values())]


def results_of(
    runs: Sequence[BacktestInputs],
    file: str | None,
    where: Path | str,
    progress: Callable[[float], object],
) -> Iterator[dict[str, Any]]:
    """Run backtests in as many processes as there are cores, and yield their results as JSON has them, in their order.

    Trades, signals and curves are left out. file: of a strategy that is not known by its name. Raises StrategyError, and
    what a backtest raises.
    """
    workers = min(len(runs), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin_worker) as pool:
        futures = [pool.submit(_result, each, file, where) for each in runs]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                progress(done / len(futures))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    results = [msgspec.json.decode(future.result()) for future in futures]
    if len({each["strategy_sha256"] for each in results}) > 1:
        raise StrategyError("the strategy's file changed while the grid ran: run it again")
    yield from results


def _begin_worker() -> None:
    # What a strategy prints is no part of the answer.
    sys.stdout = sys.stderr
    django.setup()


@cache
def _reader(where: Path | str) -> Reader:
    return open_store(where)


def _result(inputs: BacktestInputs, file: str | None, where: Path | str) -> bytes:
    if file is not None:
        strategy_given(file)
    document = outcome_of(inputs, _reader(where), most_rows=0).document
    document.performance.drawdown_curve = []
    return document_bytes(document)


def figure_text(value: float | None, form: str) -> str:
    """Return a figure as people read it, `-` if there is none."""
    return "-" if value is None else form.format(value)


def grid_lines(rows: Sequence[GridRow], figures: Sequence[Figure]) -> Iterator[str]:
    """Yield the lines of a table."""
    widths = {
        name: max(map(len, (name, *(row.parameters[name] for row in rows)))) for name in rows[0].parameters
    }
    titles = [f"{title:>16}" for _, title, _ in figures]
    yield "  ".join([*(f"{name:>{width}}" for name, width in widths.items()), *titles])
    for row in rows:
        cells = [f"{row.parameters[name]:>{width}}" for name, width in widths.items()]
        yield "  ".join([*cells, *(f"{each:>16}" for each in _texts(row, figures)), row.refused or ""])


def write_csv(path: Path, rows: Sequence[GridRow], figures: Sequence[Figure]) -> None:
    """Write a file of CSV: the parameters, the figures, and why a combination was refused. Raises OSError."""
    names = [name for name, _, _ in figures]
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow([*rows[0].parameters, *names, "refused"])
        for row in rows:
            found = dict.fromkeys(names) if row.result is None else row.result["performance"]
            lines.writerow([*row.parameters.values(), *(found[name] for name in names), row.refused])


def grid_page(title: str, rows: Sequence[GridRow], figures: Sequence[Figure]) -> str:
    """Return a page in HTML: a heat map of the return if two parameters vary, and a table."""
    values = {name: list(dict.fromkeys(row.parameters[name] for row in rows)) for name in rows[0].parameters}
    varied = [name for name, each in values.items() if len(each) > 1]
    context: dict[str, Any] = {
        "title": title,
        "names": list(values),
        "titles": [each for _, each, _ in figures],
        "rows": [
            {
                "parameters": row.parameters.values(),
                "figures": _texts(row, figures),
                "refused": row.refused,
            }
            for row in rows
        ],
    }
    if len(varied) == _TWO:
        context["map"] = _heat_map(rows, varied[0], varied[1], values)
    return render_to_string("strategies/grid.html", context)


def _texts(row: GridRow, figures: Sequence[Figure]) -> list[str]:
    if row.result is None:
        return []
    return [figure_text(row.result["performance"][name], form) for name, _, form in figures]


def _heat_map(
    rows: Sequence[GridRow], down: str, across: str, values: dict[str, list[str]]
) -> dict[str, Any]:
    """Return the cells of a heat map; strength: of a cell's colour, per cent of the largest return in size."""
    found = {
        (row.parameters[down], row.parameters[across]): row.result["performance"]["return_pct"]
        for row in rows
        if row.result is not None
    }
    largest = max(map(abs, found.values())) or 1
    lines = [
        (first, [_cell(found.get((first, second)), largest) for second in values[across]])
        for first in values[down]
    ]
    return {"down": down, "across": across, "heads": values[across], "lines": lines}


def _cell(value: float | None, largest: float) -> dict[str, Any] | None:
    return None if value is None else {"value": value, "strength": round(abs(value) / largest * 80)}
