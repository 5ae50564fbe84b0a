"""Alerts: when one fires, and the duty of the worker that looks at what was stored since it looked last.

Any number of workers may look: an alert fires once, by a compare-and-set. Instants are nanoseconds UTC.
"""

import logging
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import Q
from django.http import Http404

from calendars.schedule import Hours
from ratelimit.callers import Caller
from stats.live.log_tail import LogTail
from stats.live.tokens import head_of, record_of
from store.arrays import Integers
from store.bars.prints import masks_of
from store.datasets import TRADES
from store.exceptions import Expired, StorageError
from store.instrument_calendars import calendar_if_known
from store.protocol import CommitId, Window
from store.timestamps import SECOND_NS, format_timestamp
from store.walk import BEGINNING, CommittedRows, LogPosition, Resync
from trades.instruments.services import instrument_get
from trades.stores import market_store
from webhooks.events import ALERT_FIRED, event_write
from webhooks.firings import AlertPrints, Firing, armed_ns, firings, seconds_ns
from webhooks.models import ARMED, FIRED, MOVE, SILENCE, MarketAlert
from webhooks.services import check_fewer

logger = logging.getLogger(__name__)

MOST_ALERTS = 1_000
# A round begins no more symbols' moves after so many seconds.
_MOVES_SECONDS = 1
# SQLite takes an expression of at most 1,000 terms.
_SAVED_AT_ONCE = 200


def alerts_watch(*, now: datetime) -> None:
    """Fire the alerts whose condition is met, and store how far each log was read."""
    groups: defaultdict[tuple[bool, str], list[MarketAlert]] = defaultdict(list)
    for alert in MarketAlert.objects.filter(state=ARMED):
        groups[alert.kind == MOVE, alert.symbol].append(alert)
    # Moves read a whole window: they come last, in a random order, and those for which there is no time wait for a later round.
    turns = sorted(groups.items(), key=lambda group: (group[0][0], random.random()))  # noqa: S311 no secret
    read, until = list[MarketAlert](), time.monotonic() + _MOVES_SECONDS
    for (is_move, symbol), alerts in turns:
        if is_move and time.monotonic() > until:
            break
        try:
            read += _read_new(symbol, alerts, now)
            _check_silence(symbol, [alert for alert in alerts if alert.kind == SILENCE], now)
        except (StorageError, Resync) as error:
            logger.warning("the alerts of %s wait: %s", symbol, error)
    _save_commits(read)


def _save_commits(alerts: Sequence[MarketAlert]) -> None:
    """Store how far the logs of alerts were read, but not of alerts that were armed again meanwhile."""
    by_commit: defaultdict[tuple[int, str], list[MarketAlert]] = defaultdict(list)
    for alert in alerts:
        by_commit[alert.commit, alert.commit_hash].append(alert)
    for (commit, commit_hash), own in by_commit.items():
        for first in range(0, len(own), _SAVED_AT_ONCE):
            some = own[first : first + _SAVED_AT_ONCE]
            as_read = reduce(or_, (Q(pk=alert.pk, armed_at=alert.armed_at) for alert in some))
            MarketAlert.objects.filter(as_read).update(commit=commit, commit_hash=commit_hash)


@transaction.atomic
def alert_create(*, caller: Caller, values: dict[str, Any], now: datetime) -> MarketAlert:
    """Create an alert, and arm it. Raises ValidationError if the caller has MOST_ALERTS."""
    own = MarketAlert.objects.filter(owner=caller.identity)
    check_fewer(own, MOST_ALERTS, field="symbol", named="alerts")
    symbol = instrument_get(symbol=values["symbol"]).symbol
    owner = {"owner": caller.identity, "created_at": now}
    return MarketAlert.objects.create(**{**values, **owner, **_armed(symbol, now), "symbol": symbol})


def alert_arm(alert: MarketAlert, *, now: datetime) -> None:
    """Arm an alert: only prints that are stored from now on, with a later event time, count. Raises `Http404` if it was deleted."""
    if not MarketAlert.objects.filter(pk=alert.pk).update(**_armed(alert.symbol, now)):
        raise Http404
    alert.refresh_from_db()


def _armed(symbol: str, now: datetime) -> dict[str, Any]:
    head = head_of(market_store(), TRADES, symbol)
    fired = {"state": ARMED, "fired_at": None, "fired": None}
    return {**fired, "armed_at": now, "commit": head.number, "commit_hash": head.hash}


def _set_commit(alert: MarketAlert, commit: CommitId) -> None:
    alert.commit, alert.commit_hash = commit.number, commit.hash


def _read_new(symbol: str, alerts: Sequence[MarketAlert], now: datetime) -> list[MarketAlert]:
    """Fire by the prints that are new to each alert. Return the alerts whose `commit` has changed; they are not saved."""
    behind = min(alerts, key=lambda alert: alert.commit)
    start = CommitId(behind.commit, behind.commit_hash)
    if head_of(market_store(), TRADES, symbol) == start:
        return []
    tail = LogTail(market_store(), TRADES, symbol, LogPosition(start) if start.number else BEGINNING, 0)
    try:
        pieces = tail.read()
    except (Resync, Expired):
        # The log was restored, or its rows have expired: what it lost, and what it has instead, fires nothing.
        for alert in alerts:
            _set_commit(alert, head_of(market_store(), TRADES, symbol))
        return list(alerts)
    end = tail.position.commit
    new = [piece.rows.column("timestamp").to_numpy() for piece in pieces if isinstance(piece, CommittedRows)]
    for alert, firing in _firings(np.concatenate(new), symbol, alerts, end) if new else ():
        told = {"price": firing.price, "reference": firing.reference}
        _fire(alert, {"timestamp": format_timestamp(firing.time_ns), **told}, now)
    read = [alert for alert in alerts if alert.commit < end.number]
    for alert in read:
        _set_commit(alert, end)
    return read


def _firings(
    times: Integers, symbol: str, alerts: Sequence[MarketAlert], commit: CommitId
) -> Iterator[tuple[MarketAlert, Firing]]:
    """Yield the alerts that fire by the prints of a commit and before, with these prints. times: of the new prints.

    Only prints count that may set a bar's high or low, by the instrument's policy.
    """
    armed = min(map(armed_ns, alerts))
    counted = times[times >= armed]
    if not len(counted):
        return
    # Moves are compared with earlier prints, too.
    longest_ns = max(seconds_ns(alert) if alert.kind == MOVE else 0 for alert in alerts)
    window = Window(max(int(counted.min()) - longest_ns, armed), int(counted.max()) + 1)
    rows = market_store().log(TRADES, symbol).at(commit.number).versions(window)
    _, sets_high_low, _ = masks_of(rows, market_store().instrument(symbol).policy)
    columns = (rows.column(name).to_numpy()[sets_high_low] for name in ("timestamp", "price", "commit"))
    yield from firings(alerts, AlertPrints(*columns))


def _check_silence(symbol: str, alerts: Sequence[MarketAlert], now: datetime) -> None:
    """Fire the alerts of a symbol whose trades have been silent for too long while it is traded."""
    now_ns = int(now.timestamp()) * SECOND_NS
    open_ns = _open_since_ns(symbol, now_ns) if alerts else None
    if open_ns is None:
        return
    record = record_of(market_store(), TRADES, symbol, head_of(market_store(), TRADES, symbol))
    last_ns = max(0 if record is None else record.committed_at, open_ns)
    for alert in alerts:
        since_ns = max(last_ns, armed_ns(alert))
        if now_ns - since_ns >= seconds_ns(alert):
            _fire(alert, {"silent_since": format_timestamp(since_ns)}, now)


def _open_since_ns(symbol: str, now_ns: int) -> int | None:
    """Return when the regular session began, 0 for a symbol that is traded at all hours; None outside of a session."""
    calendar = calendar_if_known(market_store().instrument(symbol))
    if calendar is None:
        return 0
    segments = calendar.around(now_ns, now_ns).segments(Hours.REGULAR)
    index = int(segments.start_ns.searchsorted(now_ns, side="right")) - 1
    is_open = index >= 0 and now_ns < segments.end_ns[index]
    return int(segments.start_ns[index]) if is_open else None


@transaction.atomic
def _fire(alert: MarketAlert, data: dict[str, Any], now: datetime) -> None:
    """Fire once per arming, whoever else watches."""
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
