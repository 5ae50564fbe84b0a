"""The strategies that can be asked for by name, and what they are told."""

import logging
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from trading.core.events import StrategyChoice
from trading.strategies.breakout import Breakout
from trading.strategies.crossover import Crossover
from trading.strategies.own_files import STRATEGY_NAME, StrategyError, parameters_schema, strategy_in
from trading.strategies.strategy import Strategy, StrategyParameters

SHIPPED: dict[str, type[Strategy]] = {each.name: each for each in (Crossover, Breakout)}
# Those of files that were named on the command line of this process.
_given: dict[str, type[Strategy]] = {}

logger = logging.getLogger(__name__)

# So long a history is shown within some seconds.
_MOST_LOOKED_BACK = 500_000


class UnknownStrategy(StrategyError):
    """There is no strategy of this name."""


class InvalidParameters(StrategyError):
    """A parameter is unknown, missing, or not within its bounds."""


def strategy_given(file: str) -> str:
    """Load a strategy by its file, and return the name by which this process knows it from now on.

    Never call it with what came over HTTP: it runs code. Raises StrategyError; see `strategy_in`.
    """
    found = strategy_in(Path(file))
    if found.name in SHIPPED:
        raise StrategyError(f"{file}: a shipped strategy has the name {found.name}; rename the file")
    _given[found.name] = found
    return found.name


def strategy_named(name: str) -> type[Strategy]:
    """Return a shipped strategy, or the one in the file of this name in STRATEGIES_DIR. Raises StrategyError."""
    path = _folder() / f"{name}.py"
    if STRATEGY_NAME.fullmatch(name) is None or not path.is_file():
        found = SHIPPED.get(name) or _given.get(name)
        if found is None:
            raise UnknownStrategy(f"there is no strategy {name}; there are {', '.join(_names())}")
        return found
    if name in SHIPPED:
        raise StrategyError(
            f"a shipped strategy has the name of {path.name} in STRATEGIES_DIR: rename the file"
        )
    return _given.get(name) or strategy_in(path)


def _folder() -> Path:
    from django.conf import settings  # noqa: PLC0415 (backtests in memory start without Django)

    return Path(settings.STRATEGIES_DIR)


def _names() -> list[str]:
    files = sorted(path.stem for path in _folder().glob("*.py"))
    return [*SHIPPED, *(name for name in files if STRATEGY_NAME.fullmatch(name) and name not in SHIPPED)]


def parameters_of(strategy_class: type[Strategy], values: Mapping[str, Any]) -> StrategyParameters:
    """Return the parameters of a strategy; texts stand for numbers, too. Raises InvalidParameters."""
    try:
        return msgspec.convert(dict(values), strategy_class.Parameters, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidParameters(f"{strategy_class.name}: {error}") from None


def strategy_documents() -> list[dict[str, Any]]:
    """Return the strategies that can be loaded: name, description, the JSON schema of their parameters, and their hash."""
    return [
        {
            "name": strategy_class.name,
            "description": cleandoc(strategy_class.__doc__ or ""),
            "parameters": parameters_schema(strategy_class),
            "sha256": strategy_class.sha256,
        }
        for strategy_class in _loaded()
    ]


def _loaded() -> Iterator[type[Strategy]]:
    for name in _names():
        try:
            yield strategy_named(name)
        except StrategyError as error:
            logger.warning("a strategy cannot be loaded: %s", error)


def strategy_refusal(choice: StrategyChoice) -> tuple[str, str] | None:
    """Return what is wrong with a choice: `name` or `parameters`, and a message; None if nothing is."""
    try:
        parameters = parameters_of(strategy_named(choice.name), choice.parameters)
    except InvalidParameters as error:
        return "parameters", str(error)
    except StrategyError as error:
        return "name", str(error)
    intervals = parameters.looked_back_ns // parameters.interval_ns * len(choice.symbols)
    if intervals > _MOST_LOOKED_BACK:
        return "parameters", (
            f"the strategy would look back at {intervals:,} intervals of its symbols, at most {_MOST_LOOKED_BACK:,}: "
            "give fewer symbols, or fewer bars"
        )
    return None
