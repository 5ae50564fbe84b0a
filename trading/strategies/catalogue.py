"""The strategies that can be asked for by name, and what they are told."""

from collections.abc import Mapping
from inspect import cleandoc
from typing import Any

import msgspec

from trading.core.events import StrategyChoice
from trading.strategies.breakout import Breakout
from trading.strategies.crossover import Crossover
from trading.strategies.strategy import Strategy, StrategyParameters

SHIPPED: dict[str, type[Strategy]] = {each.name: each for each in (Crossover, Breakout)}

# The engine shows the history of an assignment beside its other work: some seconds at most.
_MOST_LOOKED_BACK = 500_000


class StrategyError(ValueError):
    """A strategy or a backtest that cannot be. The message says what to correct."""


class UnknownStrategy(StrategyError):
    """There is no strategy of this name."""


class InvalidParameters(StrategyError):
    """A parameter is unknown, missing, or not within its bounds."""


def strategy_named(name: str) -> type[Strategy]:
    """Return a strategy. Raises UnknownStrategy."""
    try:
        return SHIPPED[name]
    except KeyError:
        raise UnknownStrategy(f"there is no strategy {name}; there are {', '.join(SHIPPED)}") from None


def parameters_of(strategy_class: type[Strategy], values: Mapping[str, Any]) -> StrategyParameters:
    """Return the parameters of a strategy; texts stand for numbers, too. Raises InvalidParameters."""
    try:
        return msgspec.convert(dict(values), strategy_class.Parameters, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidParameters(f"{strategy_class.name}: {error}") from None


def strategy_documents() -> list[dict[str, Any]]:
    """Return the strategies: name, description, and the JSON schema of their parameters."""
    return [
        {
            "name": strategy_class.name,
            "description": cleandoc(strategy_class.__doc__ or ""),
            "parameters": _parameters_schema(strategy_class.Parameters),
        }
        for strategy_class in SHIPPED.values()
    ]


def _parameters_schema(strategy_class: type[StrategyParameters]) -> dict[str, Any]:
    schema: dict[str, Any] = msgspec.json.schema(strategy_class)["$defs"][strategy_class.__name__]
    return schema | {"description": cleandoc(strategy_class.__doc__ or "")}


def strategy_refusal(choice: StrategyChoice) -> tuple[str, str] | None:
    """Return what is wrong with a choice: `name` or `parameters`, and a message; None if nothing is."""
    try:
        parameters = parameters_of(strategy_named(choice.name), choice.parameters)
    except UnknownStrategy as error:
        return "name", str(error)
    except InvalidParameters as error:
        return "parameters", str(error)
    intervals = parameters.looked_back_ns // parameters.interval_ns * len(choice.symbols)
    if intervals > _MOST_LOOKED_BACK:
        return "parameters", (
            f"the strategy would look back at {intervals:,} intervals of its symbols, at most {_MOST_LOOKED_BACK:,}: "
            "give fewer symbols, or fewer bars"
        )
    return None
