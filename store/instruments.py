"""What is known of an instrument beside its data."""

from functools import lru_cache

import msgspec

from store.bar_policies import BAR_POLICIES, EVERY_PRINT, BarPolicy
from store.exceptions import StoreUnavailable
from store.option_symbols import parse_option_symbol

EQUITY, FUTURE, OPTION, CRYPTO = INSTRUMENT_CLASSES = ("equity", "future", "option", "crypto")
WHOLE, FRACTIONAL = VOLUME_KINDS = ("whole", "fractional")
RIGHTS = ("call", "put")
EXERCISES = ("american", "european")
SETTLEMENTS = ("am", "pm")
# Between aliases that are written as one text: no symbol has it.
ALIAS_SEPARATOR = ";"
_SHARES_PER_CONTRACT = 100.0
_REMEMBERED = 1 << 16


class Instrument(msgspec.Struct, frozen=True, omit_defaults=True):
    """An instrument as it was last told to be; `default_instrument` is one that nobody told about.

    bar_policy: the name of the policy that decides which prints make its bars. instrument_class: one of
    `INSTRUMENT_CLASSES`. exchange: ISO 10383 code (MIC). currency: ISO 4217 code. tick_size: the smallest
    step of its price. volume_kind: one of `VOLUME_KINDS`; by default whole, fractional for crypto. aliases:
    other symbols that mean it. underlying: of a future or an option, a symbol. expiry: of a future or an
    option, an ISO date. strike, right (`RIGHTS`), exercise (`EXERCISES`), settlement (`SETTLEMENTS`): of an
    option. multiplier: units of the underlying in a contract. calendar: the name of its trading calendar
    where the exchange has several. allow_nonpositive_price: whether its prices may be zero or less. None is
    not known.
    """

    symbol: str
    bar_policy: str = EVERY_PRINT.name
    instrument_class: str = EQUITY
    exchange: str | None = None
    currency: str | None = None
    tick_size: float | None = None
    volume_kind: str = ""
    aliases: tuple[str, ...] = ()
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

    def __post_init__(self) -> None:
        if not self.volume_kind:
            kind = FRACTIONAL if self.instrument_class == CRYPTO else WHOLE
            msgspec.structs.force_setattr(self, "volume_kind", kind)

    @property
    def policy(self) -> BarPolicy:
        """The policy itself, as it is declared now.

        Raises `StoreUnavailable` for one that only another version knows.
        """
        try:
            return BAR_POLICIES[self.bar_policy]
        except KeyError as error:
            raise StoreUnavailable(
                f"bars of {self.symbol} follow the policy {self.bar_policy}, which this version does not know"
            ) from error

    @property
    def has_sessions(self) -> bool:
        """Whether it names sessions: a calendar, or an exchange; crypto trades at all hours of its exchange."""
        return self.calendar is not None or (self.exchange is not None and self.instrument_class != CRYPTO)

    @property
    def has_whole_volume(self) -> bool:
        """Whether its volumes are counts, and written as integers."""
        return self.volume_kind == WHOLE


@lru_cache(maxsize=_REMEMBERED)
def default_instrument(symbol: str) -> Instrument:
    """What an instrument is until somebody tells: an equity, or the option that its OCC symbol names."""
    option = parse_option_symbol(symbol)
    if option is None:
        return Instrument(symbol)
    return Instrument(
        symbol,
        instrument_class=OPTION,
        underlying=option.root,
        expiry=option.expiry.isoformat(),
        strike=option.strike,
        right=option.right,
        multiplier=_SHARES_PER_CONTRACT,
        exercise="american",
        settlement="pm",
    )
