"""The commits of a log after a token, as the lines of an answer. Everything here blocks: call it in a thread."""

from collections.abc import Mapping

import msgspec

from stats.live.channels import Channel
from stats.live.tokens import Token, position_of, token_of
from store.exceptions import UnknownSymbol
from store.timestamps import format_timestamp
from store.walk import BEGINNING, CommitRecord
from trades.stores import market_store

# An answer has at most so many commits.
MOST_COMMITS = 1_000


def commit_lines(channel: Channel, tokens: Mapping[str, Token]) -> bytes:
    """Return the next commits of a channel's log after a token, one on each line; without tokens from the first commit.

    Raises `InvalidResumeToken`, `Resync` if the log does not have the token's commit, `StorageError`s.
    """
    (dataset,), store = channel.datasets, market_store()
    token = token_of(tokens, dataset)
    position = BEGINNING if token is None else position_of(store, dataset, channel.symbol, token)
    try:
        records = store.log(dataset, channel.symbol).records(position.commit, MOST_COMMITS)
    except UnknownSymbol:
        return b""
    return b"".join(map(_line, records))


def _line(record: CommitRecord) -> bytes:
    document = {
        "seq": record.id.token,
        "committed_at": format_timestamp(record.committed_at),
        "rows": record.facts.rows,
        "corrections": record.facts.corrections,
    }
    return msgspec.json.encode(document) + b"\n"
