"""Strategies of the operator's own files: a file's bytes are hashed and run, and a class that cannot work is refused."""

import inspect
import re
import sys
import traceback
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from threading import RLock
from types import ModuleType

import msgspec

from trading.strategies.strategy import Strategy, StrategyParameters, StrategyState

STRATEGY_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_BASE = "trading.strategies.strategy.Strategy"
_CALLED = [name for name in vars(Strategy) if name.startswith("on_")]
_loading = RLock()
# The files of the strategies that were loaded.
_files: set[str] = set()


class StrategyError(ValueError):
    """A strategy or a backtest that cannot be. The message says what to correct."""


def strategy_at(place: str) -> type[Strategy]:
    """Return the strategy that `file.py:Class`, `file.py` or `package.module.Class` means. Raises StrategyError."""
    file, _, class_name = place.partition(":")
    if not file.endswith(".py"):
        return _imported(place)
    classes = _classes(Path(file))
    found = [each for each in classes if class_name in ("", each.__name__)]
    if len(found) != 1:
        raise StrategyError(_which(Path(file).name, classes))
    return _checked(found[0])


def strategy_in(path: Path) -> type[Strategy]:
    """Return the strategy that has the name of its file. Raises StrategyError."""
    classes = _classes(path)
    found = [each for each in classes if getattr(each, "name", None) == path.stem]
    if len(found) != 1:
        raise StrategyError(f'{path.name}: exactly one subclass of {_BASE} must have name = "{path.stem}"')
    return _checked(found[0])


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


def _which(file: str, classes: list[type[Strategy]]) -> str:
    if not classes:
        return f"{file} has no subclass of {_BASE}"
    return f"give {' or '.join(f'{file}:{each.__name__}' for each in classes)}"


def _classes(path: Path) -> list[type[Strategy]]:
    """Return the strategies that a file defines. The file runs once, and again when its bytes have changed."""
    path = path.resolve()
    try:
        code = path.read_bytes()
    except OSError as error:
        raise StrategyError(f"{path}: {error.strerror}") from error
    digest = sha256(code).hexdigest()
    name = f"strategy_file:{path}:{digest}"
    with _loading:
        if name not in sys.modules:
            _run(name, path, code)
        values = list(vars(sys.modules[name]).values())
    classes = [
        each
        for each in values
        if isinstance(each, type) and issubclass(each, Strategy) and each.__module__ == name
    ]
    for each in classes:
        each.sha256 = digest
    return classes


def _run(name: str, path: Path, code: bytes) -> None:
    # msgspec and dataclasses look for the module by its name while its classes are made.
    module = sys.modules[name] = ModuleType(name)
    module.__file__ = str(path)
    try:
        exec(compile(code, str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102 the operator's own code
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise StrategyError(error_line(error, str(path))) from error


def _imported(path: str) -> type[Strategy]:
    module, _, name = path.rpartition(".")
    if not module:
        raise StrategyError(f"{path} is neither file.py:Class nor package.module.Class")
    try:
        found = getattr(import_module(module), name, None)
    except ImportError as error:
        raise StrategyError(str(error)) from error
    except (Exception, SystemExit) as error:
        file = traceback.extract_tb(error.__traceback__)[-1].filename
        file = error.filename or file if isinstance(error, SyntaxError) else file
        raise StrategyError(error_line(error, file)) from error
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise StrategyError(f"{path} is no subclass of {_BASE}")
    found.sha256 = sha256(Path(inspect.getfile(found)).read_bytes()).hexdigest()
    return _checked(found)


def _checked(strategy_class: type[Strategy]) -> type[Strategy]:
    problem = _problem(strategy_class)
    if problem is not None:
        raise StrategyError(f"{strategy_class.__name__}: {problem}")
    _files.add(inspect.getfile(strategy_class))
    return strategy_class


def _problem(strategy_class: type[Strategy]) -> str | None:
    """Return what a strategy lacks, so that it could not be run, stored or described; None if nothing."""
    if not STRATEGY_NAME.fullmatch(str(getattr(strategy_class, "name", ""))):
        return 'give it a name, such as name = "reversal": at most 64 of A-Z a-z 0-9 _ -, first a letter'
    for declared, base in (("Parameters", StrategyParameters), ("State", StrategyState)):
        own = getattr(strategy_class, declared)
        if not (isinstance(own, type) and issubclass(own, base)):
            return f"{declared} must be a subclass of {base.__name__}"
        try:
            msgspec.json.schema(own)
        except (TypeError, NameError) as error:
            return f"{declared}: {error}"
    if any(each.required for each in msgspec.structs.fields(strategy_class.State)):
        return "State: each field must have a default"
    unknown = [name for name in dir(strategy_class) if name.startswith("on_") and name not in _CALLED]
    return f"nothing calls {', '.join(unknown)}; called are {', '.join(_CALLED)}" if unknown else None
