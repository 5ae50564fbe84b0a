"""Resume tokens: positions in logs, as texts.

`17-9f3a2c.3` is the position after the row with ordinal 3 of commit 17, whose hash begins with 9f3a2c. `17-9f3a2c` is
the position after the whole commit.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from stats.live.exceptions import InvalidResumeToken
from store.declarations import Dataset
from store.exceptions import UnknownSymbol
from store.market_store import MarketStore
from store.protocol import NO_COMMIT, CommitId
from store.walk import BEGINNING, CommitRecord, LogPosition, Resync

_ITEM = re.compile(
    r"(?:([a-z_]{1,32})(?::[^=,]{1,64})?=)?(?:0|([0-9]{1,18})-([0-9a-f]{6})(?:\.([0-9]{1,18}))?)"
)
_EVENT_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_SHOWN = 64


class Token(NamedTuple):
    """A position in a log: a commit's number, the first six digits of its hash, and an ordinal (None: all rows)."""

    number: int
    hash_start: str
    ordinal: int | None = None


def parse_tokens(text: str) -> dict[str, Token]:
    """Return the tokens in a text, by the name of their dataset; "" for a token without a name.

    The text is a token, or items of the header `X-Commit`: `trades=17-9f3a2c, bars=3-0b1c2d`. `0` is the beginning.
    Raises `InvalidResumeToken`.
    """
    tokens: dict[str, Token] = {}
    for item in text.split(","):
        found = _ITEM.fullmatch(item.strip())
        name = found[1] or "" if found else ""
        if found is None or name in tokens:
            raise InvalidResumeToken(
                f"{text[:_SHOWN]!r} is no token; send a seq, or a log's part of X-Commit"
            )
        number, hash_start, ordinal = found[2] or "0", found[3] or NO_COMMIT.hash[:6], found[4]
        tokens[name] = Token(int(number), hash_start, None if ordinal is None else int(ordinal))
    return tokens


def parse_event_number(text: str) -> dict[str, Token]:
    """Return the token of an account's event: its number, without a hash. `0` is the beginning. Raises `InvalidResumeToken`."""
    if not _EVENT_NUMBER.fullmatch(text):
        raise InvalidResumeToken(f"{text[:_SHOWN]!r} is no number of an account's event; send a seq")
    return {"": Token(int(text), "")}


def token_of(tokens: Mapping[str, Token], dataset: Dataset) -> Token | None:
    """Return the token of a log; a token without a name stands for it if there is no other. None without tokens.

    Raises `InvalidResumeToken` if all tokens are of other logs.
    """
    token = tokens.get(dataset.name, tokens.get(""))
    if token is None and tokens:
        raise InvalidResumeToken(f"the token is of {', '.join(tokens)}; send one of {dataset.name}")
    return token


def position_of(store: MarketStore, dataset: Dataset, symbol: str, token: Token) -> LogPosition:
    """Return a token's position in a log. Raises `Resync` if the log does not have the commit; `StorageError`s."""
    if not token.number:
        return BEGINNING
    head = head_of(store, dataset, symbol)
    if token.number > head.number:
        raise Resync(symbol, head)
    commit = store.log(dataset, symbol).at(token.number).commit
    if not commit.hash.startswith(token.hash_start):
        raise Resync(symbol, head)
    return LogPosition(commit) if token.ordinal is None else LogPosition(commit, token.ordinal + 1)


def head_of(store: MarketStore, dataset: Dataset, symbol: str) -> CommitId:
    """Return a log's newest commit; `NO_COMMIT` for a log that does not exist. Raises the other `StorageError`s."""
    try:
        return store.log(dataset, symbol).head
    except UnknownSymbol:
        return NO_COMMIT


def record_of(store: MarketStore, dataset: Dataset, symbol: str, commit: CommitId) -> CommitRecord | None:
    """Return the record of a commit that the log has; None for `NO_COMMIT`. Raises `StorageError`s, `Resync`."""
    if commit == NO_COMMIT:
        return None
    before = store.log(dataset, symbol).at(commit.number - 1).commit
    position = BEGINNING if before == NO_COMMIT else LogPosition(before)
    first = next(iter(store.log(dataset, symbol).commits(position, commit.number)))
    assert isinstance(first, CommitRecord)  # noqa: S101 a walk yields a commit's record first
    return first


def seq_of(record: CommitRecord | None, ordinal: int | None = None) -> str:
    """Return the token of the position after the row with this ordinal; None: after the commit's last row.

    A commit without rows has a token without ordinal. Without a record it is the beginning.
    """
    if record is None:
        return NO_COMMIT.token
    last = record.length - 1 if ordinal is None else min(ordinal, record.length - 1)
    return f"{record.id.token}.{last}" if last >= 0 else record.id.token
