"""What was committed to a log after a token, as the lines of an answer. Everything here blocks: call it in a thread."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from stats.live.channels import Channel
from stats.live.followers import Commits, Replay
from stats.live.frames import Message, resync_message
from stats.live.tokens import Token, head_of
from store.exceptions import StorageError
from store.walk import Resync
from trades.stores import market_store

# An answer ends with the frame that reaches this size.
ANSWER_BYTES = 2**20


class NewCommits(NamedTuple):
    """The event that a channel of rows has more than these commits."""

    channel: Channel
    commits: Commits


class CommittedLines(NamedTuple):
    """Frames, one on each line, and the commits up to which the logs were read."""

    lines: bytes
    commits: Commits


def committed_lines(channel: Channel, tokens: Mapping[str, Token]) -> CommittedLines:
    """Return the next frames of a channel of rows after a token; without tokens from the first commit.

    If the log does not have the token's commit, the last line tells the client to forget what it has. Raises
    `InvalidResumeToken`, and `StorageError`s if there is no frame before the failure.
    """
    lines: list[bytes] = []
    commits: Commits = {}
    size = 0
    try:
        replay = Replay(channel, tokens)
        for message in _messages(channel, replay):
            lines.append(message.payload + b"\n")
            size += len(lines[-1])
            if size >= ANSWER_BYTES:
                break
        commits = replay.commits
    except Resync as resync:
        lines.append(resync_message(channel.name, resync.head.token).payload + b"\n")
    except StorageError:
        # The client's next call begins there, and is told.
        if not lines:
            raise
    return CommittedLines(b"".join(lines), commits)


def _messages(channel: Channel, replay: Replay) -> Iterator[Message]:
    upto = {dataset: head_of(market_store(), dataset, channel.symbol) for dataset in channel.datasets}
    while messages := replay.next(upto):
        yield from messages
