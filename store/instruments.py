"""Instruments, and the history of their declarations."""

from bisect import bisect_right, insort
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date
from functools import lru_cache
from itertools import chain

import msgspec

from calendars.schedule import SpecialSession
from store.aliases import Alias, AliasPeriod, AliasTable, alias_name, alias_period
from store.bar_policies import BAR_POLICIES, EVERY_PRINT, BarPolicy
from store.currencies import currency_pair
from store.exceptions import AliasTaken, StoreUnavailable, UnknownSymbol
from store.index_options import INDEX_OPTIONS
from store.symbols import parse_option_symbol
from store.timestamps import SECOND_NS

EQUITY, FUTURE, OPTION, CRYPTO, FX = INSTRUMENT_CLASSES = ("equity", "future", "option", "crypto", "fx")
WHOLE_UNITS, FRACTIONAL = VOLUME_KINDS = ("whole", "fractional")
KEEP, REFUSE = UNKNOWN_CONDITIONS = ("keep", "refuse")
EVIDENCE, CALENDAR = GAP_RULES = ("evidence", "calendar")
RIGHTS = ("call", "put")
EXERCISES = ("american", "european")
SETTLEMENTS = ("am", "pm")
# Joins aliases in one text; no symbol contains it.
ALIAS_SEPARATOR = ";"
# Amounts of trading are exact between these.
SMALLEST_AMOUNT, LARGEST_AMOUNT = 1e-18, 1e12
DEFAULT_SETTLE, MAX_SETTLE = 2.0, 3_600.0
# Tokyo and Seoul traded on Saturdays for decades: 52 a year, for about twenty years. An instrument with more has the wrong
# calendar. Each new session declares the instrument again with all that it has, so their number has a limit.
SPECIAL_SESSIONS_LIMIT = 1_000
_SHARES_PER_CONTRACT = 100.0
_CACHE_SIZE = 1 << 16


class Instrument(msgspec.Struct, frozen=True, omit_defaults=True):
    """An instrument as last declared. `default_instrument` returns instruments that were never declared.

    bar_policy: the name of the policy that decides which prints make its bars. instrument_class: one of
    `INSTRUMENT_CLASSES`. exchange: ISO 10383 code (MIC). currency: ISO 4217 code of its prices, for fx the quote
    currency. base_currency: the currency that a price of fx is for; for fx both are taken from a symbol such as
    EUR-USD. tick_size: the smallest price step. volume_kind: one of `VOLUME_KINDS`; by default fractional for crypto
    and fx, else whole. aliases: other symbols of the instrument, see `Alias`. underlying: the symbol of the underlying of a future or an option. expiry: ISO
    date of a future or an option. strike, right (`RIGHTS`), exercise (`EXERCISES`), settlement (`SETTLEMENTS`):
    the terms of an option. multiplier: units of the underlying per contract. calendar: the trading calendar's
    name if the exchange has several, or hours as `calendars.declared` reads them. allow_nonpositive_price: whether prices may be zero or less. settle: rows may
    arrive this many seconds out of order, so the log is complete up to its newest row's time minus `settle`.
    unknown_conditions: whether new rows with conditions of unknown meaning are kept or refused, one of
    `UNKNOWN_CONDITIONS`. gap_rule: which intervals without a bar are gaps, one of `GAP_RULES`: all in which trading was
    possible (calendar), or those in which trades were to be expected (evidence). special_sessions: sessions, by date,
    that its rows have proved, although its calendar is closed on that date; see `store.special_sessions`. None means
    unknown.
    """

    symbol: str
    bar_policy: str = EVERY_PRINT.name
    instrument_class: str = EQUITY
    exchange: str | None = None
    currency: str | None = None
    tick_size: float | None = None
    volume_kind: str = ""
    aliases: tuple[Alias, ...] = ()
    underlying: str | None = None
    expiry: str | None = None
    strike: float | None = None
    right: str | None = None
    multiplier: float | None = None
    exercise: str | None = None
    settlement: str | None = None
    calendar: str | None = None
    allow_nonpositive_price: bool = False
    name: str | None = None
    unknown_conditions: str = KEEP
    settle: float = DEFAULT_SETTLE
    base_currency: str | None = None
    gap_rule: str = EVIDENCE
    special_sessions: tuple[SpecialSession, ...] = ()

    def __post_init__(self) -> None:
        if not self.volume_kind:
            kind = FRACTIONAL if self.instrument_class in {CRYPTO, FX} else WHOLE_UNITS
            msgspec.structs.force_setattr(self, "volume_kind", kind)
        if self.instrument_class == FX and (pair := currency_pair(self.symbol)) is not None:
            msgspec.structs.force_setattr(self, "base_currency", self.base_currency or pair.base)
            msgspec.structs.force_setattr(self, "currency", self.currency or pair.quote)

    @property
    def policy(self) -> BarPolicy:
        """The policy as declared now.

        Raises `StoreUnavailable` if this version does not know it.
        """
        try:
            return BAR_POLICIES[self.bar_policy]
        except KeyError as error:
            raise StoreUnavailable(
                f"bars of {self.symbol} follow the policy {self.bar_policy}, which this version does not know: run the version that declared it"
            ) from error

    @property
    def has_sessions(self) -> bool:
        """Whether it has a calendar, is fx, or has an exchange and is not crypto."""
        if self.calendar is not None or self.instrument_class == FX:
            return True
        return self.exchange is not None and self.instrument_class != CRYPTO

    @property
    def settle_ns(self) -> int:
        """`settle` in nanoseconds, at most `MAX_SETTLE` seconds."""
        return round(min(self.settle, MAX_SETTLE) * SECOND_NS)

    @property
    def has_regular_days(self) -> bool:
        """Whether its daily bars are regular sessions by default, not whole trading dates or UTC dates."""
        return self.has_sessions and self.instrument_class in {EQUITY, OPTION}

    @property
    def has_integer_volume(self) -> bool:
        """Whether its volumes are integers."""
        return self.volume_kind == WHOLE_UNITS

    def with_sessions(self, sessions: Iterable[SpecialSession]) -> "Instrument":
        """Return the instrument with more special sessions. Of two of one date the hours are joined.

        Of dates that it lacks, it gets so many that it has `SPECIAL_SESSIONS_LIMIT` in all.
        """
        by_date = dict[date, SpecialSession]()
        for session in chain(self.special_sessions, sessions):
            if session.date in by_date or len(by_date) < SPECIAL_SESSIONS_LIMIT:
                by_date[session.date] = by_date.get(session.date, session).joined(session)
        return msgspec.structs.replace(self, special_sessions=tuple(by_date[day] for day in sorted(by_date)))


@lru_cache(maxsize=_CACHE_SIZE)
def default_instrument(symbol: str) -> Instrument:
    """Return an undeclared instrument: an option if `symbol` is an OCC symbol, else an equity.

    The options of the roots in `INDEX_OPTIONS` have their terms. Any other option is American and PM-settled, and its
    root is its underlying.
    """
    option = parse_option_symbol(symbol)
    if option is None:
        return Instrument(symbol)
    index = INDEX_OPTIONS.get(option.root)
    return Instrument(
        symbol,
        instrument_class=OPTION,
        underlying=option.root if index is None else index.underlying,
        expiry=option.expiry.isoformat(),
        strike=option.strike,
        right=option.right,
        multiplier=_SHARES_PER_CONTRACT,
        exercise="american" if index is None else index.exercise,
        settlement="pm" if index is None else index.settlement,
    )


class InstrumentHistory:
    """All declarations in order. One thread may add while others read."""

    def __init__(self, declarations: Iterable[tuple[int, Instrument]] = ()) -> None:
        self._declared: dict[str, list[tuple[int, Instrument]]] = {}
        self._aliases = AliasTable()
        self._instants: list[int] = []
        for declared_at, instrument in declarations:
            self.add(declared_at, instrument)

    def add(self, declared_at: int, instrument: Instrument) -> None:
        """Add a declaration that is valid from `declared_at` on (nanoseconds UTC)."""
        declared = self._declared.setdefault(instrument.symbol, [])
        before = declared[-1][1] if declared else None
        declared.append((declared_at, _sharing_sessions(instrument, before)))
        insort(self._instants, declared_at)
        self._aliases.replace(instrument.symbol, before.aliases if before else (), instrument.aliases)

    def canonical(self, symbol: str, on_ns: int | None = None) -> str:
        """See `MarketStore.canonical`."""
        owner = self._aliases.owner(symbol, on_ns)
        if owner is None and on_ns is not None and self._aliases.owner(symbol) is not None:
            raise UnknownSymbol(symbol)
        return owner or symbol

    def instrument(self, symbol: str, as_of_ns: int | None) -> Instrument:
        symbol = self.canonical(symbol)
        declared = self._declaration(symbol, as_of_ns)
        return default_instrument(symbol) if declared is None else declared

    def declared(self, symbol: str | None, as_of_ns: int | None) -> list[Instrument]:
        """See `MarketStore.declared_instruments`."""
        symbols = sorted(self._declared) if symbol is None else [symbol]
        if symbol is None:
            symbols = [each for each in symbols if self._aliases.owner(each) is None]
        declarations = (self._declaration(each, as_of_ns) for each in symbols)
        return [instrument for instrument in declarations if instrument is not None]

    def declarations(self, symbol: str, as_of_ns: int | None) -> list[tuple[int, Instrument]]:
        """See `MarketStore.declarations`."""
        return [
            (declared_at, instrument)
            for declared_at, instrument in self._declared.get(symbol, ())
            if as_of_ns is None or declared_at <= as_of_ns
        ]

    def last_declared_ns(self, as_of_ns: int) -> int:
        """See `MarketStore.last_declared_ns`."""
        newest = bisect_right(self._instants, as_of_ns)
        return self._instants[newest - 1] if newest else 0

    def check(self, instruments: Sequence[Instrument], has_data: Callable[[str], bool]) -> None:
        """Raise `AliasTaken` if an alias or symbol of these instruments is taken. Their symbols must be distinct."""
        declared = {instrument.symbol for instrument in instruments}
        self._check_periods(instruments, declared)
        for index, instrument in enumerate(instruments):
            for alias in instrument.aliases:
                name, period = alias_name(alias), alias_period(alias, instrument.symbol)
                reason = self._refusal(name, period, declared, has_data)
                if reason is not None:
                    raise AliasTaken(index, name, reason)
            for other in self._others(instrument.symbol, declared):
                if other.is_current:
                    reason = f"it is an alias of {other.owner}: declare that one"
                    raise AliasTaken(index, instrument.symbol, reason)

    def _check_periods(self, instruments: Sequence[Instrument], declared: Collection[str]) -> None:
        """Raise `AliasTaken` if two instruments would have an alias at the same time."""
        periods: dict[str, list[AliasPeriod]] = {}
        for index, instrument in enumerate(instruments):
            for alias in instrument.aliases:
                name, period = alias_name(alias), alias_period(alias, instrument.symbol)
                others = periods.setdefault(name, self._others(name, declared))
                for other in others:
                    if other.owner != period.owner and other.overlaps(period):
                        raise AliasTaken(index, name, f"it is an alias of {other.owner}")
                others.append(period)

    def _others(self, name: str, declared: Collection[str]) -> list[AliasPeriod]:
        """Return the times in which instruments that are not declared now have an alias."""
        return [each for each in self._aliases.periods(name) if each.owner not in declared]

    def _refusal(
        self, name: str, period: AliasPeriod, declared: Collection[str], has_data: Callable[[str], bool]
    ) -> str | None:
        """Return why an instrument's symbol cannot be an alias; None if it can.

        An alias that has ended hides nothing: without a date its symbol means the instrument of that symbol.
        """
        is_own = name == period.owner
        if is_own or (period.is_current and (name in declared or self._has_aliases(name))):
            return "it is an instrument of its own"
        return "it is a symbol with data of its own" if period.is_current and has_data(name) else None

    def _has_aliases(self, symbol: str) -> bool:
        declared = self._declaration(symbol, None)
        return declared is not None and bool(declared.aliases)

    def _declaration(self, symbol: str, as_of_ns: int | None) -> Instrument | None:
        for declared_at, instrument in reversed(self._declared.get(symbol, ())):
            if as_of_ns is None or declared_at <= as_of_ns:
                return instrument
        return None


def _sharing_sessions(instrument: Instrument, before: Instrument | None) -> Instrument:
    """Return the instrument with the same objects for the special sessions that its last declaration has, too.

    Each proof declares all sessions again, and all declarations are kept.
    """
    if before is None or not instrument.special_sessions:
        return instrument
    known = {session: session for session in before.special_sessions}
    shared = tuple(known.get(session, session) for session in instrument.special_sessions)
    return msgspec.structs.replace(instrument, special_sessions=shared)
