"""The bodies of calls about accounts, money and limits. Amounts become Decimals."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar, cast

import msgspec
from rest_framework import serializers

from jobs.serializers import SubmissionSerializer
from store.currencies import CURRENCIES
from store.exceptions import UnknownSymbol
from store.timestamps import parse_timestamp
from trades.batches.serializers import SymbolField
from trades.instruments.services import symbol_canonical
from trading.core.configuration import FillRule, RiskConfig
from trading.core.events import StrategyChoice
from trading.core.terms import AccountKind
from trading.documents.accounts import limits_document
from trading.exceptions import NotTradable
from trading.market.symbols import market
from trading.services.accounts import ACCOUNT_NAME
from trading.services.rebalancing import MODEL_NAME
from trading.strategies.catalogue import strategy_named, strategy_refusal
from web.requests.field_errors import MISSING, KnownFieldsSerializer, field_refusal
from web.requests.json_fields import Amount, Flag, Instant, Integer, Object, Pattern, Text, Word, json_values

REASON_LENGTH = 500
MOST_MONEY = Decimal(10) ** 12
_MONEY_DECIMALS = 6
_MOST_PERCENT = Decimal(100)
_MOST_SYMBOLS = 50
_LONGEST_PARAMETER = 64
_NOT_ABOVE = (
    ("risk_level", "max_risk_level"),
    ("max_symbol_exposure", "max_gross_exposure"),
    ("daily_loss", "total_loss"),
)
# A backtest may have any of the zones alone.
_BELOW = (("caution", "danger"), ("danger", "halt"), ("caution", "halt"))
_STRATEGY = {"name": "crossover", "parameters": {"fast": 10, "slow": 30}, "symbols": ["AAPL"]}


def _percent(text: str, *, high: Decimal = _MOST_PERCENT, is_above: bool = False) -> Amount:
    return Amount(low=Decimal(0), high=high, is_above=is_above, help_text=text)


def reason_field(**options: Any) -> Text:
    return Text(max_length=REASON_LENGTH, help_text="Why, for those who read the records.", **options)


def known_symbol(symbol: str) -> str:
    """Return the canonical symbol. Refuse one that was neither declared nor stored."""
    canonical = symbol_canonical(symbol)
    if not market().is_known(canonical):
        raise serializers.ValidationError(str(UnknownSymbol(canonical)), code=UnknownSymbol.code)
    return canonical


class AccountInput(KnownFieldsSerializer):
    """A new account."""

    examples: ClassVar = {"A margin account": {"id": "main", "kind": "margin"}}

    id = Pattern(ACCOUNT_NAME.pattern, "1-64 of A-Z a-z 0-9 _ . : -, first a letter or digit", max_length=64)
    kind = Word(
        [*AccountKind],
        default=AccountKind.CASH.value,
        help_text="`cash`: no shorts, no borrowing. `margin`: by Regulation T.",
    )
    currency = Word(sorted(CURRENCIES), default="USD", help_text="ISO 4217.")


class _Parameters(Object):
    """Parameters of a strategy: `validated_data` has them as texts, without those that are null."""

    def to_internal_value(self, data: Any) -> dict[str, str]:
        """Refuse what is no object, and values that are no numbers, texts, true or false."""
        given = super().to_internal_value(data)
        wrong = [name for name, value in given.items() if isinstance(value, list | dict)]
        if wrong:
            message = serializers.ErrorDetail("must be a number, a text, true or false", "invalid_type")
            raise serializers.ValidationError({str(name)[:64]: [message] for name in wrong})
        texts = {
            name: str(value).lower() if isinstance(value, bool) else str(value)
            for name, value in given.items()
            if value is not None
        }
        long = [name for name, text in texts.items() if len(text) > _LONGEST_PARAMETER]
        if long:
            message = serializers.ErrorDetail(f"has at most {_LONGEST_PARAMETER} characters", "invalid_text")
            raise serializers.ValidationError({name[:64]: [message] for name in long})
        return texts


class StrategyInput(KnownFieldsSerializer):
    """A strategy that decides for an account. `validated_data` is its `StrategyChoice`."""

    name = Text(max_length=64, help_text="Such as `crossover`.")
    parameters = _Parameters(required=False, help_text="A missing one has its default.")
    symbols = serializers.ListField(
        child=SymbolField(),
        min_length=1,
        max_length=_MOST_SYMBOLS,
        help_text="What it trades: symbols or aliases.",
    )

    def validate_symbols(self, symbols: list[str]) -> list[str]:
        """Return the canonical symbols, each once. Refuse those that are unknown or not traded here."""
        found = list(dict.fromkeys(map(known_symbol, symbols)))
        for symbol in found:
            try:
                market().terms(symbol)
            except NotTradable as error:
                raise serializers.ValidationError(str(error), code=error.code) from error
        return found

    def validate(self, attrs: dict[str, Any]) -> Any:
        """Refuse an unknown strategy, and parameters that it does not have."""
        choice = StrategyChoice(
            name=attrs["name"], parameters=attrs.get("parameters", {}), symbols=tuple(attrs["symbols"])
        )
        refused = strategy_refusal(choice)
        if refused is not None:
            field, message = refused
            raise field_refusal(field, message, "unfit")
        return msgspec.structs.replace(choice, sha256=strategy_named(choice.name).sha256)


class PreferencesInput(KnownFieldsSerializer):
    """An account's preferences. A missing field stays."""

    examples: ClassVar = {"Another name": {"name": "Momentum"}, "A strategy": {"strategy": _STRATEGY}}

    name = Text(required=False, allow_blank=True, max_length=100, help_text="What people call it.")
    requires_signature = Flag(
        required=False, help_text="Whether its calls must be signed, but for cancel, close and stop."
    )
    heartbeat_seconds = Integer(
        required=False,
        allow_null=True,
        min_value=5,
        max_value=86_400,
        help_text="All its orders are cancelled if no heartbeat comes for so long; null for never.",
    )
    model = Pattern(
        MODEL_NAME.pattern,
        "1-64 of A-Z a-z 0-9 _ . : -",
        max_length=64,
        required=False,
        allow_null=True,
        help_text="The model that a rebalance follows; null for none.",
    )
    strategy = StrategyInput(
        required=False, allow_null=True, help_text="The strategy that decides for the account; null for none."
    )


class TransferInput(SubmissionSerializer):
    """Money that is paid in (above zero) or out, in the account's currency."""

    examples: ClassVar = {"A deposit": {"amount": 100_000}}

    amount = Amount(low=-MOST_MONEY, high=MOST_MONEY, decimals=_MONEY_DECIMALS)

    def validate_amount(self, amount: Decimal) -> float:
        """Refuse zero. A job's parameters are JSON values, so the amount becomes one again."""
        if not amount:
            raise serializers.ValidationError("must not be 0", code="out_of_range")
        return float(amount)


class TransferParameters(TransferInput):
    """The parameters of a job that transfers money."""

    account = Text(max_length=64)


class OverrideInput(KnownFieldsSerializer):
    """An override of the risk level, its end, or the end of a halt: one of the three.

    Context: `now_ns`, of the engine's clock. `validated_data` has `until_ns` in the place of `until`.
    """

    examples: ClassVar = {
        "Less for today": {"risk_level": 0.15, "until": "2030-01-02T21:00:00Z", "reason": "earnings tonight"},
        "As configured": {"end": True, "reason": "calm again"},
        "Leave a halt": {"release_halt": True, "reason": "the log was restored as it was"},
    }

    risk_level = Amount(
        low=Decimal(0),
        high=_MOST_PERCENT,
        required=False,
        help_text="Per cent of the equity that a trade may lose.",
    )
    until = Instant(
        convert=parse_timestamp, required=False, help_text="When it ends: ISO 8601, UTC without an offset."
    )
    end = Flag(required=False, help_text="Whether the override ends now.")
    release_halt = Flag(required=False, help_text="Whether the halt ends now.")
    reason = reason_field()

    def validate_until(self, until_ns: int) -> int:
        """Refuse an instant that is not in the future."""
        if until_ns <= self.context["now_ns"]:
            raise serializers.ValidationError("must be in the future", code="out_of_range")
        return until_ns

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse none, and several, of the three."""
        sets = "risk_level" in attrs or "until" in attrs
        wanted = [sets, attrs.get("end", False), attrs.get("release_halt", False)]
        if sum(wanted) != 1:
            message = "give one of: risk_level with until; end: true; release_halt: true"
            raise serializers.ValidationError(message, code="unfit")
        missing = [name for name in ("risk_level", "until") if sets and name not in attrs]
        if missing:
            raise field_refusal(missing[0], MISSING, "required")
        return attrs


class RiskConfigInput(KnownFieldsSerializer):
    """All limits of an account; none may be left out. `validated_data["config"]` is the `RiskConfig`."""

    examples: ClassVar = {"The usual limits": limits_document(RiskConfig()).as_json()}

    risk_level = _percent("Of the equity: what a trade may lose at its protective stop.")
    max_risk_level = _percent("Of the equity: up to which a person may override `risk_level`.")
    max_symbol_exposure = _percent(
        "Of the equity: positions plus working orders of a symbol.", high=Decimal(10_000)
    )
    max_gross_exposure = _percent(
        "Of the equity: positions plus working orders of all.", high=Decimal(10_000)
    )
    orders_per_minute = Integer(min_value=1, max_value=10_000, help_text="Accepted opening orders.")
    collar = _percent(
        "How far beyond the market a limit may be, and how far a market order may fill.", is_above=True
    )
    daily_loss = _percent("Of the equity at the day's start.", is_above=True)
    total_loss = _percent("Of the equity at the account's beginning.", is_above=True)
    caution = _percent("The drawdown at which the zone CAUTION begins.", is_above=True)
    danger = _percent("The drawdown at which the zone DANGER begins.", is_above=True)
    halt = _percent("The drawdown at which the zone HALT begins.", is_above=True)
    participation = _percent("Of a print's volume: what fills orders.", is_above=True)
    latency_ms = Integer(
        min_value=0, max_value=60_000, help_text="From acceptance until an order can be filled."
    )
    fill = Word(
        [*FillRule], help_text="Whether a limit fills when the price trades through it, or touches it."
    )
    stale_after_seconds = Integer(
        min_value=1, max_value=86_400, help_text="An older price opens nothing and changes no zone."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse limits that contradict each other."""
        refuse_contradictions(attrs)
        return {"config": msgspec.convert(attrs, RiskConfig)}


class SomeLimitsInput(RiskConfigInput):
    """Some of an account's limits. They are JSON values again, for a job's parameters."""

    def get_fields(self) -> dict[str, Any]:
        """Return the fields; each may be left out."""
        fields = super().get_fields()
        for field in fields.values():
            field.required = False
        return fields

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Contradictions show beside the other limits."""
        return json_values(attrs)


def refuse_contradictions(limits: Mapping[str, Any]) -> None:
    """Refuse limits that contradict each other. A limit that is missing contradicts none."""
    for lower, higher in _NOT_ABOVE:
        if lower in limits and higher in limits and limits[lower] > limits[higher]:
            raise field_refusal(lower, f"must not be above {higher}", "unfit")
    for lower, higher in _BELOW:
        if lower in limits and higher in limits and limits[lower] >= limits[higher]:
            raise field_refusal(lower, f"must be below {higher}", "unfit")


def whole_config(config: RiskConfig, limits: Mapping[str, Any]) -> RiskConfig:
    """Return a configuration with some other limits. Refuse contradictions, at `config`."""
    whole = RiskConfigInput(data={**limits_document(config).as_json(), **limits})
    if not whole.is_valid():
        raise serializers.ValidationError({"config": whole.errors})
    return cast("RiskConfig", whole.validated_data["config"])
