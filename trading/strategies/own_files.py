"""Strategies of the operator's own files: a file has one strategy, which has the file's name."""

import re
import sys
import traceback
from hashlib import sha256
from inspect import cleandoc
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import Any

import msgspec

from trading.strategies.strategy import Strategy

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


def _run(name: str, path: Path, code: bytes) -> None:
    # msgspec and dataclasses look for the module by its name while its classes are made.
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = str(path)
    try:
        exec(compile(code, str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102 the operator's own code
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise StrategyError(error_line(error, str(path))) from error
