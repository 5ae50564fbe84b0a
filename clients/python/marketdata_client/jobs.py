"""Jobs: work that the server does after it has answered, and the bar that shows it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from marketdata_client.errors import BadAnswer, ConfirmationNeeded, JobFailed
from marketdata_client.requests import Request, post_request, segment

_JOBS = "/api/v1/jobs"
_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 10.0
_ENDED = frozenset({"succeeded", "failed", "cancelled"})
Job = dict[str, Any]


def job_request(job_id: str) -> Request:
    return Request("GET", f"{_JOBS}/{segment(job_id)}")


def pauses() -> Iterator[float]:
    """Yield the seconds before each next poll of a job: a tenth of the time so far, at least 1 and at most 10."""
    waited = 0.0
    while True:
        pause = min(max(waited / 10, _SHORTEST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        waited += pause
        yield pause


def confirm_request(job_id: str) -> Request:
    """Return the request that confirms a job. It is sent again without harm."""
    return post_request(f"{_JOBS}/{segment(job_id)}/confirm", None, idempotency_key=uuid4().hex)


def has_succeeded(job: Job) -> bool:
    """Whether a job has ended. Raises `JobFailed` if it ended, but not well, and `ConfirmationNeeded` if it asks."""
    state = job.get("state")
    if not isinstance(state, str):
        raise BadAnswer("the job has no state")
    if state in _ENDED and state != "succeeded":
        raise JobFailed(job)
    if state == "needs_confirmation":
        raise ConfirmationNeeded(job)
    return state == "succeeded"


class ProgressBar:
    """A bar in the terminal, by rich if it is installed; call it with each state of a job."""

    def __init__(self) -> None:
        try:
            from rich.progress import Progress  # noqa: PLC0415 an optional library
        except ImportError:
            self._progress: Any = None
            return
        self._progress = Progress()
        self._progress.start()
        self._task = self._progress.add_task("job", total=None)

    def __call__(self, job: Mapping[str, Any]) -> None:
        """Show a state; the bar is left when the job has ended."""
        if self._progress is None:
            return
        progress = job.get("progress")
        found: Mapping[str, Any] = progress if isinstance(progress, dict) else {}
        state = str(job.get("state"))
        done, total = (_number(found.get(name)) for name in ("done", "total"))
        # rich reads what is in brackets as markup.
        self._progress.update(
            self._task, completed=done or 0, total=total, description=state.replace("[", "(")[:40]
        )
        if state in _ENDED:
            self.close()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()


@contextmanager
def shown_progress(on_progress: Callable[[Job], object] | None) -> Iterator[Callable[[Job], object]]:
    """Give what takes a job's states: the caller's function, else a bar, which is left at the end."""
    if on_progress is not None:
        yield on_progress
        return
    bar = ProgressBar()
    try:
        yield bar
    finally:
        bar.close()


def _number(found: object) -> float | None:
    return found if isinstance(found, int | float) else None
