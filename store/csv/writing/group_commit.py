"""Group commit: one of the threads that write to a log writes the batches of all waiting threads."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from store.csv.writing.batch import PreparedRequest
from store.exceptions import OutcomeUnknown, RequestInProgress
from store.protocol import Receipt

GROUP_LIMIT = 64


@dataclass(slots=True, eq=False)
class PendingCommit:
    """A batch that waits to be written, and its result: a receipt or an error.

    leads: whether its thread must write a group. woken: set when its thread must stop waiting.
    """

    request: PreparedRequest
    receipt: Receipt | None = None
    error: BaseException | None = None
    woken: threading.Event = field(default_factory=threading.Event)
    leads: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it has no result yet."""
        return self.receipt is None and self.error is None


class GroupCommit:
    """Passes the waiting batches, at most 64 at a time, to `write`, which sets the result of each batch.

    The group includes the writing thread's own batch. After it, another waiting thread writes, so that no
    thread writes for others forever.
    """

    def __init__(self, write: Callable[[Sequence[PendingCommit]], None]) -> None:
        self._write = write
        self._mutex = threading.Lock()
        self._waiting: list[PendingCommit] = []
        self._is_led = False
        self._running_keys: set[tuple[str, str]] = set()

    def commit(self, request: PreparedRequest) -> Receipt:
        """Wait until a batch is written; return its receipt.

        Raises the error that `write` set, and `RequestInProgress` if an earlier batch with its key is not
        finished yet.
        """
        pending = PendingCommit(request)
        key = (request.caller, request.key_hash) if request.key_hash is not None else None
        with self._mutex:
            if key is not None:
                if key in self._running_keys:
                    raise RequestInProgress
                self._running_keys.add(key)
            self._waiting.append(pending)
            pending.leads, self._is_led = not self._is_led, True
        try:
            return self._outcome(pending)
        finally:
            if key is not None:
                with self._mutex:
                    self._running_keys.discard(key)

    def _outcome(self, pending: PendingCommit) -> Receipt:
        if not pending.leads:
            pending.woken.wait()
        if pending.leads:
            self._lead()
        if pending.error is not None:
            raise pending.error
        if pending.receipt is None:
            raise OutcomeUnknown("the batch was not confirmed: send it again")
        return pending.receipt

    def _lead(self) -> None:
        with self._mutex:
            group, self._waiting = self._waiting[:GROUP_LIMIT], self._waiting[GROUP_LIMIT:]
        try:
            self._write(group)
        except BaseException as error:  # noqa: BLE001 waiting threads must get any error
            for pending in group:
                pending.error = error if pending.is_open else pending.error
        with self._mutex:
            self._is_led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].woken.set()
        for pending in group:
            pending.woken.set()
