"""The body of a call that asks for a backtest, and the inputs that it stands for."""

import re
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

import msgspec
from django.conf import settings
from rest_framework import serializers

from jobs.serializers import SubmissionSerializer
from store.currencies import CURRENCIES
from store.protocol import Window
from store.reading import Reader
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import SECOND_NS, format_timestamp, parse_timestamp
from trading.api.account_inputs import MOST_MONEY, SomeLimitsInput, refuse_contradictions, whole_config
from trading.core.configuration import RiskConfig
from trading.core.terms import AccountKind
from trading.strategies.backtest import BacktestInputs
from trading.strategies.catalogue import InvalidParameters, StrategyError, parameters_of, strategy_named
from trading.strategies.stored import row_bound, stored_period, symbol_refusals
from trading.strategies.strategy import StrategyParameters
from web.requests.json_fields import Amount, Instant, Object, Text, Word

MOST_SYMBOLS = 50
# Bars of a backtest: the intervals of its period and of the history before it, of each symbol.
MOST_BARS = 5_000_000
MOST_ROWS = 100_000_000
_MOST_BASIS_POINTS = Decimal(10_000)
_FIELD = re.compile(r"(?: - at `\$\.|unknown field `|required field `|: `)(\w+)`")
_DEFAULTS = {
    "parameters": {},
    "cash": 100_000,
    "currency": "USD",
    "kind": "margin",
    "risk": "none",
    "config": {},
    "knowledge": "then",
}
_EXAMPLE = {
    "strategy": "crossover",
    "symbols": ["DEMOA", "DEMOB"],
    "parameters": {"fast": 10, "slow": 30},
}
EXAMPLE_WEEK = {**_EXAMPLE, "start": "2030-01-07", "end": "2030-01-12"}


def _checked(text: str) -> str:
    """Return the text of an instant, as a job's parameters need it. Raises InvalidTimestamp."""
    parse_timestamp(text)
    return text


class LimitsAloneInput(SomeLimitsInput):
    """Some limits; of the others none holds. `validated_data["config"]` is the `RiskConfig`."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse limits that contradict each other."""
        config = msgspec.convert(attrs, RiskConfig)
        refuse_contradictions(attrs)
        return {"config": config.without_limits(but=attrs)}


class BacktestInput(SubmissionSerializer):
    """A strategy, a period, and all that decides what comes of it. Its validated data are JSON values, for a job.

    Context: `market`, whose store has the rows.
    """

    examples: ClassVar = {"All that is stored": _EXAMPLE}
    most_symbols: ClassVar[int | None] = MOST_SYMBOLS
    most_bars: ClassVar[int | None] = MOST_BARS
    most_rows: ClassVar[int | None] = MOST_ROWS

    strategy = Text(max_length=64, help_text="Its name, as `GET /strategies` has it.")
    symbols = serializers.ListField(child=Text(max_length=64), help_text=f"At most {MOST_SYMBOLS}.")
    start = Instant(
        convert=_checked,
        required=False,
        help_text="When orders begin: ISO 8601, UTC without an offset. Default: the first date with rows of a symbol.",
    )
    end = Instant(
        convert=_checked,
        required=False,
        help_text="Likewise, exclusive: a date means all sessions before it. Default: with the bar of the newest row.",
    )
    parameters = Object(required=False, help_text="Of the strategy. A missing one has its default.")
    cash = Amount(
        low=Decimal(0),
        high=MOST_MONEY,
        is_above=True,
        decimals=6,
        required=False,
        help_text="What the account begins with. Default: 100,000.",
    )
    currency = Word(sorted(CURRENCIES), required=False, help_text="Of the account. Default: USD.")
    kind = Word([*AccountKind], required=False, help_text="Of the account. Default: `margin`.")
    risk = Word(
        ["none", "account"],
        required=False,
        help_text="`none` (the default): of all limits and zones only those in `config` hold. `account`: the usual limits and "
        "zones of an account hold, but for those in `config`.",
    )
    config = SomeLimitsInput(required=False, help_text="Limits of the account, and how orders fill.")
    fee_basis_points = Amount(
        low=Decimal(0),
        high=_MOST_BASIS_POINTS,
        required=False,
        allow_null=True,
        help_text="In the place of the fees of the instrument's class.",
    )
    slippage_basis_points = Amount(
        low=Decimal(0),
        high=_MOST_BASIS_POINTS,
        required=False,
        allow_null=True,
        help_text="In the place of the slippage of the instrument's class.",
    )
    knowledge = Word(
        ["then", "now"],
        required=False,
        help_text="Bars as they were known then (the default), or as they are known now.",
    )
    as_of = Instant(
        convert=_checked,
        required=False,
        help_text="Rows that were stored up to then are read, as in `start`. Default: now.",
    )

    def validate_strategy(self, name: str) -> str:
        """Refuse a name that has no strategy, or whose file cannot be loaded."""
        try:
            strategy_named(name)
        except StrategyError as error:
            raise _refusal(str(error), "invalid_choice") from error
        return name

    def validate_symbols(self, symbols: list[str]) -> list[str]:
        """Return the symbols, each once. Refuse none, too many, and what can be no symbol."""
        if not symbols or (self.most_symbols is not None and len(symbols) > self.most_symbols):
            raise _refusal(f"give 1 to {self.most_symbols} symbols", "out_of_range")
        try:
            return list(dict.fromkeys(map(parse_symbol, symbols)))
        except InvalidSymbol as error:
            raise _refusal(str(error), error.code) from error

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what cannot be run: wrong parameters, contradictory limits, an unfit period, symbols without rows."""
        parameters = _parameters(attrs)
        _config(attrs.get("risk", _DEFAULTS["risk"]), attrs.get("config", {}))
        window = self._period(attrs, parameters.interval_ns)
        self._check_length(window, parameters, len(attrs["symbols"]))
        as_of_ns = parse_timestamp(attrs["as_of"])
        self._refuse(symbol_refusals(self.context["market"], attrs["symbols"], as_of_ns, window))
        self._check_rows(window, attrs["symbols"], as_of_ns)
        return _DEFAULTS | {
            name: _json_number(value) if isinstance(value, Decimal) else value
            for name, value in attrs.items()
        }

    def _period(self, attrs: dict[str, Any], interval_ns: int) -> Window:
        """Return the period. Set its bounds if they were not given, and `as_of` to now.

        It ends with what is stored, so that the days after it are no part of the figures.
        """
        market, symbols = self.context["market"], attrs["symbols"]
        attrs.setdefault("as_of", format_timestamp(time.time_ns()))
        as_of_ns = parse_timestamp(attrs["as_of"])
        stored = stored_period(market, symbols, interval_ns, as_of_ns)
        if stored is not None:
            attrs.setdefault("start", format_timestamp(stored.start_ns))
            # A start after the newest row is refused with the symbols, which says where they have rows.
            last_ns = max(stored.end_ns, parse_timestamp(attrs["start"]) + SECOND_NS)
            if "end" not in attrs or parse_timestamp(attrs["end"]) > last_ns:
                attrs["end"] = format_timestamp(last_ns)
        elif not {"start", "end"} <= attrs.keys():
            self._refuse(symbol_refusals(market, symbols, as_of_ns))
        start_ns, end_ns = (parse_timestamp(attrs[name]) for name in ("start", "end"))
        if start_ns >= end_ns:
            raise serializers.ValidationError({"end": ["must be later than start"]}, code="invalid_range")
        return Window(start_ns, end_ns)

    def _check_length(self, window: Window, parameters: StrategyParameters, symbols: int) -> None:
        length_ns = window.end_ns - window.start_ns + parameters.looked_back_ns
        bars = length_ns // parameters.interval_ns * symbols
        if self.most_bars is not None and bars > self.most_bars:
            raise _too_many("bars", bars, self.most_bars)

    def _check_rows(self, window: Window, symbols: list[str], as_of_ns: int) -> None:
        rows = 0 if self.most_rows is None else row_bound(self.context["market"], symbols, window, as_of_ns)
        if self.most_rows is not None and rows > self.most_rows:
            raise _too_many("rows", rows, self.most_rows)

    def _refuse(self, refusals: list[tuple[str, str]]) -> None:
        if refusals:
            errors = [serializers.ErrorDetail(message, code) for code, message in refusals]
            raise serializers.ValidationError({"symbols": errors})


def _too_many(what: str, count: int, most: int) -> serializers.ValidationError:
    message = f"{count:,} {what} are too many: at most {most:,}; ask for a shorter period"
    return serializers.ValidationError({"end": [message]}, code="out_of_range")


class UnboundedBacktestInput(BacktestInput):
    """A backtest of any size, which no server runs."""

    most_symbols = None
    most_bars = None
    most_rows = None


def inputs_of_job(parameters: Mapping[str, Any], reader: Reader) -> BacktestInputs:
    """Return the inputs that a job's parameters mean. Raises the errors of the store."""
    symbols = tuple(dict.fromkeys(reader.symbol(each) for each in parameters["symbols"]))
    return BacktestInputs(
        strategy=parameters["strategy"],
        symbols=symbols,
        start_ns=parse_timestamp(parameters["start"]),
        end_ns=parse_timestamp(parameters["end"]),
        parameters=parameters["parameters"],
        cash=Decimal(str(parameters["cash"])),
        currency=parameters["currency"],
        kind=AccountKind(parameters["kind"]),
        config=_config(parameters["risk"], parameters["config"]),
        fee_basis_points=_decimal_or_none(parameters.get("fee_basis_points")),
        slippage_basis_points=_decimal_or_none(parameters.get("slippage_basis_points")),
        knowledge=parameters["knowledge"],
        as_of_ns=parse_timestamp(parameters["as_of"]),
        classes=settings.TRADING_TERMS,
    )


def _config(risk: str, given: Mapping[str, Any]) -> RiskConfig:
    """Return the limits, and how orders fill. Refuse limits that contradict each other, at `config`."""
    if risk == "account":
        return whole_config(RiskConfig(), given)
    alone = LimitsAloneInput(data=given)
    if not alone.is_valid():
        raise serializers.ValidationError({"config": alone.errors})
    config: RiskConfig = alone.validated_data["config"]
    return config


def _parameters(attrs: Mapping[str, Any]) -> StrategyParameters:
    try:
        return parameters_of(strategy_named(attrs["strategy"]), attrs.get("parameters", {}))
    except InvalidParameters as error:
        raise serializers.ValidationError({"parameters": _at_its_field(str(error))}) from error


def _at_its_field(message: str) -> Any:
    """Return the refusal of a strategy's parameter, at the field that its message names."""
    found = _FIELD.search(message)
    error = [serializers.ErrorDetail(message, "unfit")]
    return error if found is None else {found[1]: error}


def _json_number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _decimal_or_none(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _refusal(message: str, code: str) -> serializers.ValidationError:
    return serializers.ValidationError(message, code=code)
