"""Decides which continuous bars are final: the contract's bar is, and the roll that chose the contract is decided."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stats.market_data.futures.contracts import FutureContract, PinnedContracts
from stats.market_data.futures.rolls import Figure, RollRule
from stats.market_data.intervals.finality import (
    FinalBars,
    Finality,
    final_bars_of,
    finality_of,
)
from stats.market_data.plan import Range, SymbolQuery
from store.log_views.bar_grid import BarGrid
from store.log_views.log_view import LogView, last_row
from store.log_views.stored_bars import resolutions_in
from store.protocol import ALL_TIME, Window
from store.timestamps import DAY_NS

_NO_BARS = FinalBars(ALL_TIME.start_ns, ALL_TIME.end_ns, ALL_TIME.start_ns)


@dataclass(frozen=True, slots=True)
class ContractFinality:
    """What is complete of a contract.

    bars: tells which of its bars are final. figures_until_ns: up to where the figures that decide rolls are complete;
    `ALL_TIME.end_ns` if it has none. expiry_end_ns: the end of its last trading date.
    """

    bars: FinalBars
    figures_until_ns: int
    expiry_end_ns: int


@dataclass(frozen=True, slots=True)
class ContinuousFinality:
    """What is complete of a root's contracts, in their order. until_ns, expires_ns: of all of them, as in `Finality`."""

    contracts: tuple[ContractFinality, ...]
    until_ns: int
    expires_ns: int | None

    @property
    def key(self) -> str:
        """The text that stands for it in cache keys."""
        return repr(self.contracts)

    def decided_until(self, days: BarGrid, fronts: Sequence[tuple[int, int]]) -> int:
        """Return the instant up to which it is decided which contract is in front.

        fronts: the contracts in front, and when each comes to the front. It is decided on a trading date if the
        figures of the dates before are complete, of the contract in front and of all later ones. An expired contract
        holds nothing up once another one has come further.
        """
        furthest_ns = max(
            (each.figures_until_ns for each in self.contracts if each.figures_until_ns < ALL_TIME.end_ns),
            default=ALL_TIME.start_ns,
        )
        complete_ns = ALL_TIME.end_ns
        for index, contract in enumerate(self.contracts):
            left_ns = next((start_ns for front, start_ns in fronts if front > index), ALL_TIME.end_ns)
            if contract.figures_until_ns < left_ns and contract.expiry_end_ns > furthest_ns:
                complete_ns = min(complete_ns, contract.figures_until_ns)
        return complete_ns if complete_ns == ALL_TIME.end_ns else days.interval(complete_ns).end_ns


def continuous_finality(
    symbol_query: SymbolQuery,
    pinned: PinnedContracts,
    rule: RollRule,
    *,
    grid: BarGrid,
    days: BarGrid,
    query_range: Range,
) -> ContinuousFinality:
    """Return what is complete of a root's contracts in a range. days: the grid of trading dates."""
    contracts, found = [], []
    # Contracts have the terms declared now, also with `knowledge=then`.
    query = replace(symbol_query.query, knowledge=None)
    for contract in pinned.contracts:
        expiry_end_ns = days.interval(days.date_start(contract.expiry * DAY_NS)).end_ns
        is_past = query_range.start_ns is not None and expiry_end_ns <= query_range.start_ns
        if is_past and contract is not pinned.contracts[-1]:
            contracts.append(ContractFinality(_NO_BARS, ALL_TIME.end_ns, expiry_end_ns))
            continue
        of_contract = replace(symbol_query, query=query, instrument=contract.instrument)
        own = _finality(of_contract, grid, query_range, contract.trades)
        bars = final_bars_of(of_contract, grid, query_range, (contract.trades, contract.stored_bars), own)
        found.append(own)
        if rule.figure is Figure.VOLUME:
            found.append(_finality(of_contract, days, query_range, contract.trades))
        figures_until_ns = _figures_until(of_contract, contract, rule.figure, days, found[-1].until_ns)
        contracts.append(ContractFinality(bars, figures_until_ns, expiry_end_ns))
    return ContinuousFinality(
        tuple(contracts),
        max((each.until_ns for each in found), default=ALL_TIME.start_ns),
        min((each.expires_ns for each in found if each.expires_ns is not None), default=None),
    )


def _finality(symbol_query: SymbolQuery, grid: BarGrid, query_range: Range, trades: LogView) -> Finality:
    """Return the finality of a contract. A walk keeps the latest instant of all contracts, which bounds each of them."""
    bound_ns, policy = symbol_query.walk_final_until_ns, symbol_query.instrument.policy
    found = finality_of(replace(symbol_query, walk_final_until_ns=None), grid, query_range, trades, policy)
    return found if bound_ns is None else replace(found, until_ns=min(found.until_ns, bound_ns))


def _figures_until(
    symbol_query: SymbolQuery,
    contract: FutureContract,
    figure: Figure | None,
    days: BarGrid,
    traded_until_ns: int,
) -> int:
    """Return `figures_until_ns` of a contract. traded_until_ns: up to where the volumes of its trades are complete."""
    if figure is Figure.VOLUME:
        return max(traded_until_ns, _stored_until(contract, days, symbol_query.now_ns))
    if figure is None or contract.open_interest.is_empty:
        return ALL_TIME.end_ns
    # Reports come after the prints, so their own log tells.
    today_ns = days.constant_window(symbol_query.now_ns).start_ns
    return min(contract.open_interest.complete_until(symbol_query.settle), today_ns)


def _stored_until(contract: FutureContract, days: BarGrid, now_ns: int) -> int:
    """Return the end of a contract's newest stored bar, at most the start of the current trading date.

    Bars that are dated ahead of their commit do not count. `ALL_TIME.start_ns` without a bar.
    """
    stored_bars = contract.stored_bars
    newest = last_row(stored_bars, stored_bars.snapshot.completeness().newest_ns + 1)
    if newest is None:
        return ALL_TIME.start_ns
    newest_ns: int = newest.column("timestamp")[0].as_py()
    longest = resolutions_in(stored_bars.rows(Window(newest_ns, newest_ns + 1)))[-1]
    end_ns = newest_ns + longest.length_ns
    if longest.is_period:
        date = int(days.dates_of_rows(np.array([newest_ns]))[0])
        end_ns = days.interval(days.date_start(date * DAY_NS)).end_ns
    return min(end_ns, days.constant_window(now_ns).start_ns)
