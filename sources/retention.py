"""Expires rows by the setting `RETENTION`: how many days rows are kept, by dataset, source and symbol."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.conf import settings

from sources.models import SourceSymbol
from store.exceptions import StorageError
from store.expiring import EXPIRING, expire, planned, remove_due
from store.symbols import is_symbol, parse_symbol
from store.timestamps import DAY_NS
from trades.stores import market_store

logger = logging.getLogger(__name__)

_RULE = re.compile(r"(?:(\S.*) )?(trades|quotes|option_quotes|1m bars) (?:([1-9][0-9]{0,4}) ?d|for ever)")

_DATASETS = frozenset(dataset.name for dataset in EXPIRING)


class InvalidRetention(ValueError):
    """A rule of RETENTION cannot be read. Correct it."""


class KeepingRule(NamedTuple):
    """How long rows are kept. name: a symbol, or a source in capitals; "" for all. days: None for ever."""

    name: str
    dataset: str
    days: int | None


def keeping_rules(text: str) -> list[KeepingRule]:
    """Return the rules of a text such as `trades 30 d, binance trades 7 d, AAPL trades for ever`. Raises `InvalidRetention`."""
    rules = dict[tuple[str, str], KeepingRule]()
    for part in filter(None, (each.strip() for each in re.split("[,;]", text))):
        found = _RULE.fullmatch(part)
        name = found[1] or "" if found else ""
        is_name = not name or (is_symbol(name) and not _DATASETS.intersection(name.split()))
        if found is None or not is_name or (found[2] == "1m bars" and found[3]):
            raise InvalidRetention(
                f"RETENTION has {part!r}: write `trades 30 d` or `quotes for ever`, after a source or a symbol if you like;"
                " bars of a minute and longer stay for ever"
            )
        rule = KeepingRule(name and parse_symbol(name), found[2], int(found[3]) if found[3] else None)
        if rules.setdefault(rule[:2], rule) != rule:
            raise InvalidRetention(f"RETENTION has {part!r} and another rule for the same rows: remove one")
    return list(rules.values())


def days_kept(rules: Sequence[KeepingRule], dataset: str, symbol: str, source: str) -> int | None:
    """Return for how many days rows are kept: by the symbol's rule, else its source's, else that for all. None for ever."""
    own = {rule.name: rule.days for rule in rules if rule.dataset == dataset}
    return next((own[name] for name in (symbol, source.upper(), "") if name in own), None)


def rows_expire(*, now: datetime) -> None:
    """Expire the rows that are older than RETENTION says, and delete those that expired a day ago, also by hand.

    A log on which that fails is logged, and tried again in the next run.
    """
    store, now_ns = market_store(), int(now.timestamp()) * 10**9
    rules = [rule._replace(name=store.canonical(rule.name)) for rule in keeping_rules(settings.RETENTION)]
    sources = dict(SourceSymbol.objects.values_list("symbol", "source")) if rules else {}
    for dataset in EXPIRING:
        for symbol in store.symbols(dataset):
            days = days_kept(rules, dataset.name, symbol, sources.get(symbol, ""))
            try:
                if days is not None:
                    expire(store, planned(store, dataset, symbol, (now_ns // DAY_NS - days) * DAY_NS))
                remove_due(store, dataset, symbol, now_ns)
            except StorageError as error:
                logger.warning("rows of %s/%s do not expire now: %s", dataset.name, symbol, error)
