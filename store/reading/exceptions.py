"""The reader's errors for invalid arguments. The caller must correct the argument.

InvalidArgument (a ValueError)
├── InvalidInstant       not a time from 1900 to 2200
├── InvalidWindow        the start is not before the end
├── InvalidInterval      not a positive number of nanoseconds, nor the name of an interval
├── UnknownName          a name that does not exist
│   ├── UnknownPolicy    not a bar policy
│   ├── UnknownKnowledge neither now nor then
│   ├── UnknownDataset   not a dataset
│   └── UnknownColumn    not a column of the dataset
├── InvalidSession       not a word of session, hours or anchor
└── InvalidUniverse      symbols are not a list of different symbols

An invalid symbol raises `store.symbols.InvalidSymbol`, a path without a store `store.backends.NoSuchStore`, also ValueErrors. The store's own errors are in
`store.exceptions`, those of sessions in `calendars.exceptions`.
"""

from collections.abc import Iterable


class InvalidArgument(ValueError):
    """An argument of the reader is invalid. Correct it."""


class InvalidInstant(InvalidArgument):
    """The value is not a time from 1900 to 2200. Correct it."""


class InvalidWindow(InvalidArgument):
    """The start is not before the end. Correct them."""


class InvalidInterval(InvalidArgument):
    """The value is neither a positive whole number of nanoseconds nor an interval's name. Correct it."""


class UnknownName(InvalidArgument):
    """The text is not a known name. The message lists the known ones."""

    def __init__(self, what: str, name: object, known_names: Iterable[str]) -> None:
        super().__init__(f"no {what} is named {name!r}: there are {', '.join(known_names)}")


class UnknownPolicy(UnknownName):
    """No bar policy has this name. Choose one that the message lists."""


class UnknownKnowledge(UnknownName):
    """The text is neither `now` nor `then`. Choose one of them."""


class UnknownDataset(UnknownName):
    """No dataset has this name. Choose one that the message lists."""


class UnknownColumn(UnknownName):
    """The dataset has no column with this name. Choose one that the message lists."""


class InvalidSession(InvalidArgument):
    """The value is not a word of `session`, `hours` or `anchor`. Correct it."""


class InvalidUniverse(InvalidArgument):
    """The symbols are a single text, or contain one twice. Give a list of different symbols."""
