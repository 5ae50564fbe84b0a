"""The replay of an account as the database and the store have it."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trades.stores import market_store
from trading.core.account import AccountState
from trading.core.configuration import RiskConfig
from trading.core.events import DATA, FOLLOWING, WALL, AccountOpened, decoded
from trading.engine.clock import CommitClock, DataClock
from trading.exceptions import WhatIfTooLong
from trading.journal import replayed
from trading.lease import engine_status
from trading.models import Account, EventRow
from trading.what_if.inputs import StoredEvent
from trading.what_if.replay import AccountReplay

MOST_EVENTS, MOST_ROWS = 20_000, 5_000_000
_FOLLOWING = [str(each.__struct_config__.tag) for each in FOLLOWING]


def replay_of(
    account: Account,
    *,
    limits: Mapping[str, Any],
    since_ns: int | None,
    until_ns: int | None,
    progress: Callable[[int], object],
) -> AccountReplay:
    """Return the replay of an account under its own limits with some changed, from an instant until another.

    limits: by the names of `RiskConfig`, JSON values. since_ns: None for its beginning; until_ns: None for now, by the
    engine's clock. progress: is told the number of rows, and may raise. Raises WhatIfTooLong, also while it runs.
    """
    status = engine_status()
    number = 0 if since_ns is None else _number_at(account, since_ns)
    state = replayed(account, number) if number else AccountState(id=account.name)
    return AccountReplay(
        store=market_store(),
        clock=DataClock() if _clock_of(account) == DATA else CommitClock(),
        state=state,
        stored=_stored(account, number, until_ns),
        until_ns=status.now_ns if until_ns is None else until_ns,
        change=lambda config: changed(config, limits),
        since_ns=since_ns if number else None,
        heads=_heads(account, state),
        count=lambda rows: _count(rows, progress),
    )


def _clock_of(account: Account) -> str:
    """Return the name of the clock that dated an account's events, whichever engine runs now."""
    opened = decoded(account.events.get(number=1).body)
    return opened.clock if isinstance(opened, AccountOpened) else WALL


def changed(config: RiskConfig, limits: Mapping[str, Any]) -> RiskConfig:
    """Return limits with some of them changed. limits: JSON values."""
    return msgspec.convert(
        msgspec.to_builtins(config)
        | {name: str(limit) if isinstance(limit, float) else limit for name, limit in limits.items()},
        RiskConfig,
    )


def _number_at(account: Account, at_ns: int) -> int:
    """Return the number of the last event up to an instant; 0 for none."""
    earlier = account.events.filter(at_ns__lte=at_ns).order_by("-number")
    return earlier.values_list("number", flat=True).first() or 0


def _stored(account: Account, after: int, until_ns: int | None) -> list[StoredEvent]:
    rows = account.events.filter(number__gt=after).order_by("number")
    if until_ns is not None:
        rows = rows.filter(number__lte=_number_at(account, until_ns))
    bodies = list(rows.values_list("number", "at_ns", "body")[: MOST_EVENTS + 1])
    if len(bodies) > MOST_EVENTS:
        raise WhatIfTooLong(f"there are more than {MOST_EVENTS:,} events: ask for a shorter time")
    return [StoredEvent(number, at_ns, decoded(body)) for number, at_ns, body in bodies]


def _heads(account: Account, state: AccountState) -> dict[str, str]:
    """Return the commits that were named last for the symbols that are held or ordered."""
    heads: dict[str, str] = {}
    for symbol in sorted(state.symbols()):
        rows = EventRow.objects.filter(account=account, number__lte=state.number, name__in=_FOLLOWING)
        body = (
            rows.filter(body__contains=f'"symbol":"{symbol}"')
            .order_by("-number")
            .values_list("body", flat=True)
            .first()
        )
        event = None if body is None else decoded(body)
        if isinstance(event, FOLLOWING):
            heads = {**event.commits, **heads}
    return heads


def _count(rows: int, progress: Callable[[int], object]) -> None:
    if rows > MOST_ROWS:
        raise WhatIfTooLong(f"there are more than {MOST_ROWS:,} rows: ask for a shorter time")
    progress(rows)
