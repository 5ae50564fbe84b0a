"""The strategies that can be asked for by name, those of the operator's files, and what they are told."""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from inspect import cleandoc
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

import msgspec

from trading.core.events import StrategyChoice
from trading.exceptions import StrategyFailed
from trading.strategies.breakout import Breakout
from trading.strategies.crossover import Crossover
from trading.strategies.strategy import Strategy, StrategyParameters

STRATEGY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_BASE = "trading.strategies.strategy.Strategy"
_loading = RLock()
# The files of the strategies that were loaded.
_files: set[str] = set()


class StrategyError(ValueError):
    """A strategy or a backtest that cannot be. The message says what to correct."""


def strategy_in(path: Path) -> type[Strategy]:
    """Return the strategy of a file. The file runs once, and again when its bytes have changed.

    Raises StrategyError if it cannot be run, does not have exactly one strategy, or has no fit name.
    """
    path = path.absolute()
    try:
        code = path.read_bytes()
    except OSError as error:
        raise StrategyError(f"{path}: {error.strerror}") from error
    if STRATEGY_NAME.fullmatch(path.stem) is None:
        raise StrategyError(
            f"{path.name}: a strategy has the name of its file: at most 64 of A-Z a-z 0-9 _ -, first a letter"
        )
    digest = sha256(code).hexdigest()
    module = f"strategy_file:{path}:{digest}"
    with _loading:
        if module not in sys.modules:
            _run(module, path, code)
        values = list(vars(sys.modules[module]).values())
    own = [each for each in values if isinstance(each, type) and each.__module__ == module]
    found = [each for each in own if issubclass(each, Strategy)]
    if len(found) != 1:
        raise StrategyError(f"{path.name} has {len(found)} subclasses of {_BASE}: a file has exactly one")
    strategy_class = found[0]
    strategy_class.name, strategy_class.sha256 = path.stem, digest
    try:
        parameters_schema(strategy_class)
        strategy_class.State()
    except (TypeError, NameError, KeyError) as error:
        raise StrategyError(f"{path.name}: its Parameters or State cannot be used: {error}") from error
    _files.add(str(path))
    return strategy_class


def parameters_schema(strategy_class: type[Strategy]) -> dict[str, Any]:
    """Return the JSON schema of a strategy's parameters."""
    parameters = strategy_class.Parameters
    schema: dict[str, Any] = msgspec.json.schema(parameters)["$defs"][parameters.__name__]
    return schema | {"description": cleandoc(parameters.__doc__ or "")}


def error_line(error: BaseException, file: str) -> str:
    """Return an error's type and message, after the last line of a file that led to it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    message = str(error)
    if isinstance(error, SyntaxError):
        message = error.msg
        lines += [error.lineno] if error.filename == file else []
    place = f"{Path(file).name}, line {lines[-1]}" if lines else Path(file).name
    # Control characters would reach the terminal.
    shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in message)
    return f"{place}: {type(error).__name__}: {shown}"


def own_failure(error: BaseException) -> str | None:
    """Return what a strategy raised and on which line; None if the error does not come from a file of the operator."""
    frames = traceback.extract_tb(error.__traceback__)
    file = next((frame.filename for frame in frames if frame.filename in _files), None)
    return None if file is None else error_line(error, file)


@contextmanager
def own_failures(name: str) -> Iterator[None]:
    """Raise StrategyFailed for whatever a file of the operator raises, also SystemExit."""
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        failure = own_failure(error)
        if failure is None:
            raise
        raise StrategyFailed(f"the strategy {name} failed: {failure}") from error


def _run(name: str, path: Path, code: bytes) -> None:
    # msgspec and dataclasses look for the module by its name while its classes are made.
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = str(path)
    try:
        exec(compile(code, str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102 the operator's own code
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise StrategyError(error_line(error, str(path))) from error


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
