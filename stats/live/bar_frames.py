"""The messages of channels of bars."""

from collections.abc import Iterator, Sequence

import msgspec

from stats.live.bar_feed import BarFeed, BarPosition, BarStep, merged_steps, touched_commits
from stats.live.channels import Channel
from stats.live.frames import FRAME_ROWS, Message, resync_message, rows_payload
from stats.rendering.format import TimeForm
from stats.rendering.json_rows import row_objects
from store.datasets import BARS, TRADES
from store.declarations import Dataset
from store.protocol import NO_COMMIT
from store.timestamps import format_timestamp
from store.walk import CommitPiece


def bar_token(position: BarPosition) -> str:
    """Return the token of bars at these commits; with names if bars are stored."""
    if position.bars == NO_COMMIT:
        return position.trades.token
    commits = {TRADES.name: position.trades, BARS.name: position.bars}
    return ", ".join(f"{name}={commit.token}" for name, commit in commits.items() if commit != NO_COMMIT)


class BarMessage(Message):
    """A message with the bars that a step changed, in one frame. prev: the token of the message before."""

    __slots__ = ("prev", "step")

    is_merged = True

    def __init__(self, channel: str, step: BarStep, prev: str) -> None:
        self.step, self.prev = step, prev
        seq = bar_token(step.position)
        rows = row_objects(step.rows, TimeForm.RFC3339, ",")
        rows += b"".join(_removed(each) for each in step.removed)
        head = {"ch": channel, "seq": seq, "prev": prev, "committed_at": format_timestamp(step.committed_at)}
        super().__init__(channel, seq, rows_payload(head, rows[:-1]), is_lossless=step.is_lossless)
        self.final_until_ns = step.final_until_ns

    def merged_with(self, later: Message) -> Message:
        """Return a message that replaces this one and a later one of its channel; it has each bar's newest values."""
        if not isinstance(later, BarMessage):
            return later
        return BarMessage(self.channel, merged_steps(self.step, later.step), self.prev)


class BarFrames:
    """Makes the messages of a channel of bars. seq: the token of the last message.

    settled_ns: when it was last looked for bars that are final without a commit. due_ns: when to look again, or None.
    """

    state: Message | None = None

    def __init__(self, channel: Channel, feed: BarFeed, *, now_ns: int) -> None:
        self._channel, self._feed = channel, feed
        self.seq = bar_token(feed.position)
        self.settled_ns = now_ns

    @property
    def due_ns(self) -> int | None:
        return self._feed.due_ns

    def taken(self, dataset: Dataset, pieces: Sequence[CommitPiece], *, now_ns: int) -> Iterator[Message]:
        """See `Feed`."""
        for step in self._feed.advance(list(touched_commits(dataset, pieces)), now_ns=now_ns):
            yield from self._messages(step)

    def settled(self, *, now_ns: int) -> Iterator[Message]:
        """See `Feed`."""
        step = self._feed.settle(now_ns=now_ns)
        self.settled_ns = now_ns
        if step is not None and step:
            yield from self._messages(step)

    def _messages(self, step: BarStep) -> Iterator[Message]:
        name, prev, self.seq = self._channel.name, self.seq, bar_token(step.position)
        if step.is_resync:
            yield resync_message(name, self.seq)
        elif len(step.rows) <= FRAME_ROWS:
            yield BarMessage(name, step, prev)
        else:
            for start in range(0, len(step.rows), FRAME_ROWS):
                yield self._part(step, start, prev)

    def _part(self, step: BarStep, start: int, prev: str) -> Message:
        """Return a frame with a part of the bars of a step. All parts but the last have the token before the step."""
        is_last = start + FRAME_ROWS >= len(step.rows)
        seq = self.seq if is_last else prev
        rows = row_objects(step.rows.slice(start, start + FRAME_ROWS), TimeForm.RFC3339, ",")
        if is_last:
            rows += b"".join(_removed(each) for each in step.removed)
        committed_at = format_timestamp(step.committed_at)
        head = {"ch": self._channel.name, "seq": seq, "prev": prev, "committed_at": committed_at}
        message = Message(self._channel.name, seq, rows_payload(head, rows[:-1]), is_replaceable=False)
        message.final_until_ns = step.final_until_ns
        return message


def _removed(time_ns: int) -> bytes:
    return msgspec.json.encode({"timestamp": format_timestamp(time_ns), "removed": True}) + b","
