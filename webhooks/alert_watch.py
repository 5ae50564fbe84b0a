"""Follows the commits of trades for the alerts that are armed. A duty of the worker.

Any number of workers may do so: an alert fires once, by a compare-and-set.
"""

import logging
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
from django.db import transaction
from django.utils import timezone

from calendars.schedule import Hours
from stats.live.log_tail import LogTail
from stats.live.tokens import head_of, record_of
from store.bars.prints import masks_of
from store.datasets import TRADES
from store.exceptions import StorageError, UnknownSymbol
from store.instrument_calendars import calendar_if_known
from store.protocol import CommitId, Window
from store.timestamps import SECOND_NS, format_timestamp
from store.walk import BEGINNING, CommittedRows, LogPosition, Resync
from trades.stores import market_store
from webhooks.alert_rules import AlertPrints, Firing, level_firing, move_firing
from webhooks.events import ALERT_FIRED, event_write
from webhooks.models import ARMED, FIRED, LEVEL, MOVE, SILENCE, MarketAlert

logger = logging.getLogger(__name__)

# So often it is stored how far a symbol was read. Prints since then are looked at again after a restart.
_PROGRESS_SECONDS = 5.0


@dataclass(slots=True)
class _SymbolWatch:
    """How far a symbol's trades were read, and the prints that moves are compared with.

    alerts: those for which it was begun, by id and arming. stamp: of the log when it was read.
    """

    alerts: frozenset[tuple[int, datetime]]
    tail: LogTail
    prints: AlertPrints
    stamp: Hashable = None
    stored_at: float = field(default_factory=time.monotonic)


class AlertWatch:
    """The alerts that one process watches."""

    def __init__(self) -> None:
        self._watches: dict[str, _SymbolWatch] = {}

    def round(self, *, now: datetime) -> None:
        """Look at what is new, and fire."""
        armed = MarketAlert.objects.filter(state=ARMED).order_by("symbol")
        by_symbol = {symbol: list(rows) for symbol, rows in groupby(armed, lambda alert: alert.symbol)}
        self._watches = {symbol: each for symbol, each in self._watches.items() if symbol in by_symbol}
        stamps = market_store().heads(TRADES, tuple(by_symbol)) if by_symbol else {}
        for symbol, alerts in by_symbol.items():
            try:
                self._look(symbol, alerts, stamps)
                _silences(symbol, alerts, now)
            except (StorageError, Resync) as error:
                logger.warning("the alerts of %s wait: %s", symbol, error)

    def _look(self, symbol: str, alerts: Sequence[MarketAlert], stamps: Mapping[str, Hashable]) -> None:
        watch, stamp = self._watches.get(symbol), stamps.get(symbol)
        # The watch may have passed over prints that are newer than a new alert.
        if watch is None or not watch.alerts.issuperset(_armings(alerts)):
            watch = self._watches[symbol] = _begun(symbol, alerts)
        elif stamp == watch.stamp and not watch.tail.has_more:
            return
        watch.stamp = stamp
        try:
            pieces = watch.tail.read()
        except Resync as resync:
            watch.tail = LogTail(market_store(), TRADES, symbol, LogPosition(resync.head), 0)
            watch.prints = AlertPrints.none()
            return
        new = [_prints_in(symbol, piece) for piece in pieces if isinstance(piece, CommittedRows)]
        watch.prints = sum(new, watch.prints)
        for alert in alerts:
            firing = _firing(alert, watch.prints)
            if firing is not None:
                _fire(alert, _told(firing))
        self._keep(symbol, alerts, watch)

    def _keep(self, symbol: str, alerts: Sequence[MarketAlert], watch: _SymbolWatch) -> None:
        """Forget the prints that no move is compared with any more, and store how far the log was read."""
        newest_ns = int(watch.prints.times.max(initial=0))
        watch.prints = watch.prints.where(watch.prints.times >= newest_ns - _longest_ns(alerts))
        if not _longest_ns(alerts):
            watch.prints = AlertPrints.none()
        commit = watch.tail.position.commit
        if time.monotonic() - watch.stored_at >= _PROGRESS_SECONDS:
            watch.stored_at = time.monotonic()
            behind = MarketAlert.objects.filter(
                pk__in=[alert.pk for alert in alerts], state=ARMED, commit__lt=commit.number
            )
            behind.update(commit=commit.number, commit_hash=commit.hash)


_watch = AlertWatch()


def alerts_watch(*, now: datetime) -> None:
    """Fire the alerts whose condition is met."""
    _watch.round(now=now)


def alert_arm(alert: MarketAlert, *, now: datetime) -> None:
    """Arm an alert: only prints that are stored from now on, with a later event time, count. Not saved."""
    head = head_of(market_store(), TRADES, alert.symbol)
    alert.state, alert.armed_at, alert.fired_at, alert.fired = ARMED, now, None, None
    alert.commit, alert.commit_hash = head.number, head.hash


def _armings(alerts: Sequence[MarketAlert]) -> frozenset[tuple[int, datetime]]:
    return frozenset((alert.pk, alert.armed_at) for alert in alerts)


def _begun(symbol: str, alerts: Sequence[MarketAlert]) -> _SymbolWatch:
    """Begin to read where the alert that is the farthest behind was read to."""
    first = min(alerts, key=lambda alert: alert.commit)
    commit = CommitId(first.commit, first.commit_hash)
    position = LogPosition(commit) if commit.number else BEGINNING
    tail = LogTail(market_store(), TRADES, symbol, position, 0)
    return _SymbolWatch(_armings(alerts), tail, _earlier(symbol, alerts, commit.number))


def _earlier(symbol: str, alerts: Sequence[MarketAlert], commit: int) -> AlertPrints:
    """Return the stored prints that moves are compared with."""
    longest_ns, now_ns = _longest_ns(alerts), time.time_ns()
    if not (longest_ns and commit):
        return AlertPrints.none()
    try:
        rows = market_store().log(TRADES, symbol).at(commit).rows(Window(now_ns - longest_ns, now_ns))
    except (UnknownSymbol, Resync):
        return AlertPrints.none()
    return _prints(symbol, rows, commit)


def _prints_in(symbol: str, piece: CommittedRows) -> AlertPrints:
    return _prints(symbol, pa.Table.from_batches([piece.rows]), piece.commit.number)


def _prints(symbol: str, rows: pa.Table, commit: int) -> AlertPrints:
    """Return the prints that may set a bar's high or low, by the instrument's policy."""
    _, sets_high_low, _ = masks_of(rows, market_store().instrument(symbol).policy)
    times, prices = (rows.column(name).to_numpy() for name in ("timestamp", "price"))
    return AlertPrints(times, prices, np.full(len(times), commit)).where(sets_high_low)


def _longest_ns(alerts: Sequence[MarketAlert]) -> int:
    return max((alert.seconds or 0 for alert in alerts if alert.kind == MOVE), default=0) * SECOND_NS


def _firing(alert: MarketAlert, prints: AlertPrints) -> Firing | None:
    armed_ns = int(alert.armed_at.timestamp()) * SECOND_NS
    is_new = (prints.commits > alert.commit) & (prints.times >= armed_ns)
    if not is_new.any():
        return None
    if alert.kind == LEVEL:
        return level_firing(prints.where(is_new), alert.direction, alert.value or 0.0)
    if alert.kind == MOVE:
        window_ns = (alert.seconds or 0) * SECOND_NS
        return move_firing(prints, is_new, alert.direction, alert.value or 0.0, window_ns)
    return None


def _told(firing: Firing) -> dict[str, Any]:
    return {
        "timestamp": format_timestamp(firing.time_ns),
        "price": firing.price,
        "reference": firing.reference,
    }


def _silences(symbol: str, alerts: Sequence[MarketAlert], now: datetime) -> None:
    """Fire the alerts of a symbol whose trades have been silent for too long while it is traded."""
    of_silence = [alert for alert in alerts if alert.kind == SILENCE]
    open_ns = _open_since_ns(symbol, time.time_ns()) if of_silence else None
    if open_ns is None:
        return
    record = record_of(market_store(), TRADES, symbol, head_of(market_store(), TRADES, symbol))
    last_ns = max(0 if record is None else record.committed_at, open_ns)
    for alert in of_silence:
        since_ns = max(last_ns, int(alert.armed_at.timestamp() * SECOND_NS))
        if time.time_ns() - since_ns >= (alert.seconds or 0) * SECOND_NS:
            _fire(alert, {"silent_since": format_timestamp(since_ns)})


def _open_since_ns(symbol: str, now_ns: int) -> int | None:
    """Return when the regular session began, 0 for a symbol that is traded at all hours; None outside of a session."""
    calendar = calendar_if_known(market_store().instrument(symbol))
    if calendar is None:
        return 0
    segments = calendar.around(now_ns, now_ns).segments(Hours.REGULAR)
    index = int(segments.start_ns.searchsorted(now_ns, side="right")) - 1
    is_open = index >= 0 and now_ns < segments.end_ns[index]
    return int(segments.start_ns[index]) if is_open else None


def _fire(alert: MarketAlert, data: dict[str, Any]) -> None:
    """Fire once per arming, whoever else watches."""
    now = timezone.now()
    with transaction.atomic():
        armed = MarketAlert.objects.filter(pk=alert.pk, state=ARMED, armed_at=alert.armed_at)
        if armed.update(state=FIRED, fired_at=now, fired=data):
            event_write(
                kind=ALERT_FIRED,
                subject=f"alert:{alert.uuid}",
                owner=alert.owner,
                symbol=alert.symbol,
                data={"id": str(alert.uuid), "symbol": alert.symbol, "kind": alert.kind, **data},
                now=now,
            )
