"""Cuts commits after an instant off the logs of the configured store (docs/storage.md)."""

from collections.abc import Callable, Sequence

from django.conf import settings

from ops.serve.installation import AlreadyRunning, make_private_folder, sole_user
from store.datasets import INSTRUMENTS, STORED_DATASETS
from store.maintained import LogCut, MaintainedStore
from store.timestamps import format_timestamp
from trades.stores import LogName, logs_of, maintained_store, market_store


class NotCut(Exception):
    """Nothing was cut. The message says what to do."""


def logs_cut(
    *, symbols: Sequence[str], until_ns: int, say: Callable[[str], object], is_wanted: Callable[[], bool]
) -> None:
    """Cut the logs of these symbols, by default all logs, after their last commit up to an instant.

    say: prints what each log loses. is_wanted: is asked then. Raises `NotCut`, `NotMaintained`, `UnknownSymbol`,
    `DataDamaged`, `StoreUnavailable`, and the errors of `sole_user`.
    """
    store = maintained_store()
    make_private_folder(settings.RUN_DIR)
    try:
        with sole_user(settings.RUN_DIR):
            _cut(store, symbols, until_ns, say, is_wanted)
    except AlreadyRunning as error:
        raise NotCut(f"{error} Stop it first.") from error


def _cut(
    store: MaintainedStore,
    symbols: Sequence[str],
    until_ns: int,
    say: Callable[[str], object],
    is_wanted: Callable[[], bool],
) -> None:
    # The log of all declarations has the name ALL, as a symbol may have.
    datasets = [name for name in STORED_DATASETS if name != INSTRUMENTS.name] if symbols else []
    logs = logs_of(market_store(), datasets=datasets, symbols=symbols)
    planned = [(log, store.planned_cut(*log, until_ns)) for log in logs]
    _check(planned, until_ns)
    cuts = [(log, cut) for log, cut in planned if cut.commits]
    for log, cut in cuts:
        say(
            f"{_name(log)}: loses {cut.commits:,} of {cut.newest.number:,} commits, {cut.rows:,} rows,"
            f" {cut.corrections:,} corrections; newest commit then: {cut.head.token if cut.head.number else 'none'}"
        )
    if cuts and not is_wanted():
        raise NotCut("nothing was cut")
    for log, cut in cuts:
        store.cut(*log, cut)
    kept = " Their lost records are in commits.cut-*.jsonl beside commits.jsonl"
    say(f"{len(cuts):,} logs cut.{kept if cuts else ''}")


def _check(planned: Sequence[tuple[LogName, LogCut]], until_ns: int) -> None:
    first_ns = min((cut.first_ns for _, cut in planned if cut.first_ns is not None), default=until_ns)
    if until_ns < first_ns:
        raise NotCut(
            f"{format_timestamp(until_ns)} is before the first commit, of {format_timestamp(first_ns)}:"
            " nothing would be left"
        )
    for log, cut in planned:
        if cut.removed_ns is not None:
            raise NotCut(
                f"{_name(log)}: expired rows were deleted after {format_timestamp(cut.removed_ns)}: cut at a later"
                " instant, or restore a backup"
            )


def _name(log: LogName) -> str:
    return f"{log[0].name}/{log[1]}"
