"""The body of a call that asks for a backtest, and the inputs that it stands for."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from http_requests.field_errors import KnownFieldsSerializer
from http_requests.json_fields import Amount, Flag, Text, Word
from store.currencies import CURRENCIES
from store.reading import Reader
from store.symbols import InvalidSymbol, parse_symbol
from store.timestamps import InvalidTimestamp, parse_timestamp
from strategies.backtest import BacktestInputs
from strategies.catalogue import SHIPPED, parameters_of, strategy_named
from strategies.exceptions import InvalidParameters
from trading.api.account_inputs import MOST_MONEY, RiskConfigInput, SomeLimitsInput
from trading.core.configuration import RiskConfig
from trading.core.terms import AccountKind
from trading.documents import config_document

MOST_SYMBOLS = 50
# Bars of a backtest: the intervals of its period, of each symbol.
MOST_BARS = 5_000_000
_MOST_BASIS_POINTS = Decimal(10_000)
_FIELD = re.compile(r" - at `\$\.(\w+)`$|unknown field `(\w+)`$")
_DEFAULTS = {
    "parameters": {},
    "cash": 100_000,
    "currency": "USD",
    "kind": "margin",
    "config": {},
    "knowledge": "then",
}


@extend_schema_field({"type": "object", "additionalProperties": True})
class _Object(serializers.JSONField):
    """A JSON object."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError("must be an object", code="invalid_type")
        return data


class BacktestInput(KnownFieldsSerializer):
    """A strategy, a period, and all that decides what comes of it. Its validated data are JSON values, for a job."""

    strategy = Word([*SHIPPED])
    symbols = serializers.ListField(child=Text(max_length=64), help_text=f"At most {MOST_SYMBOLS}.")
    start = Text(max_length=40, help_text="When orders begin: ISO 8601, UTC without an offset.")
    end = Text(max_length=40, help_text="Likewise, exclusive.")
    parameters = _Object(required=False, help_text="Of the strategy. A missing one has its default.")
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
    config = SomeLimitsInput(required=False, help_text="Limits of the account that are not the default.")
    fee_basis_points = Amount(
        low=Decimal(0),
        high=_MOST_BASIS_POINTS,
        required=False,
        help_text="In the place of the fees of the instrument's class.",
    )
    slippage_basis_points = Amount(
        low=Decimal(0),
        high=_MOST_BASIS_POINTS,
        required=False,
        help_text="In the place of the slippage of the instrument's class.",
    )
    knowledge = Word(
        ["then", "now"],
        required=False,
        help_text="Bars as they were known then (the default), or as they are known now.",
    )
    honesty = Flag(
        required=False, help_text="Whether to tell what the strategy owes to data that was known later."
    )

    def validate_symbols(self, symbols: list[str]) -> list[str]:
        """Return the symbols, each once. Refuse none, too many, and what can be no symbol."""
        if not 1 <= len(symbols) <= MOST_SYMBOLS:
            raise _refusal(f"give 1 to {MOST_SYMBOLS} symbols", "out_of_range")
        try:
            return list(dict.fromkeys(map(parse_symbol, symbols)))
        except InvalidSymbol as error:
            raise _refusal(str(error), error.code) from error

    def validate_start(self, text: str) -> str:
        return _instant(text)

    def validate_end(self, text: str) -> str:
        return _instant(text)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse wrong parameters of the strategy, contradictory limits, and a period that is empty or too long."""
        length_ns = parse_timestamp(attrs["end"]) - parse_timestamp(attrs["start"])
        if length_ns <= 0:
            raise serializers.ValidationError({"end": ["must be later than start"]}, code="invalid_range")
        try:
            parameters = parameters_of(strategy_named(attrs["strategy"]), attrs.get("parameters", {}))
        except InvalidParameters as error:
            raise serializers.ValidationError({"parameters": _at_its_field(str(error))}) from error
        bars = length_ns // parameters.interval_ns * len(attrs["symbols"])
        if bars > MOST_BARS:
            message = f"{bars:,} bars are too many: at most {MOST_BARS:,}; ask for a shorter period"
            raise serializers.ValidationError({"end": [message]}, code="out_of_range")
        _config(attrs.get("config", {}))
        return _DEFAULTS | {
            name: _json_number(value) if isinstance(value, Decimal) else value
            for name, value in attrs.items()
        }


def inputs_of_job(parameters: Mapping[str, Any], reader: Reader) -> BacktestInputs:
    """Return the inputs that a job's parameters mean. Raises the errors of the store."""
    return BacktestInputs(
        strategy=parameters["strategy"],
        symbols=tuple(dict.fromkeys(reader.symbol(each) for each in parameters["symbols"])),
        start_ns=parse_timestamp(parameters["start"]),
        end_ns=parse_timestamp(parameters["end"]),
        parameters=parameters["parameters"],
        cash=Decimal(str(parameters["cash"])),
        currency=parameters["currency"],
        kind=AccountKind(parameters["kind"]),
        config=_config(parameters["config"]),
        fee_basis_points=_decimal_or_none(parameters.get("fee_basis_points")),
        slippage_basis_points=_decimal_or_none(parameters.get("slippage_basis_points")),
        knowledge=parameters["knowledge"],
    )


def _config(limits: Mapping[str, Any]) -> RiskConfig:
    whole = RiskConfigInput(data={**config_document(RiskConfig()), **limits})
    if not whole.is_valid():
        raise serializers.ValidationError({"config": whole.errors})
    return cast("RiskConfig", whole.validated_data["config"])


def _at_its_field(message: str) -> Any:
    """Return the refusal of a strategy's parameter, at the field that its message names."""
    found = _FIELD.search(message)
    error = [serializers.ErrorDetail(message, "unfit")]
    return error if found is None else {found[1] or found[2]: error}


def _json_number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _decimal_or_none(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def _instant(text: str) -> str:
    try:
        parse_timestamp(text)
    except InvalidTimestamp as error:
        raise _refusal(str(error), error.code) from error
    return text


def _refusal(message: str, code: str) -> serializers.ValidationError:
    return serializers.ValidationError(message, code=code)
