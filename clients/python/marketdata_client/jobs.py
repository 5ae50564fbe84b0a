"""Waits for jobs: work that the server does after it has answered."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from marketdata_client.bodies import object_in
from marketdata_client.errors import BadAnswer, JobFailed
from marketdata_client.exchange import answered
from marketdata_client.site import Call, Site, segment
from marketdata_client.steps import Flow, Sleep

JOBS = "/api/v1/jobs"
_WAIT_SECONDS = 20
_ENDED = frozenset({"succeeded", "failed", "cancelled"})
Job = dict[str, Any]


def job_call(job_id: str, *, wait: bool = False) -> Call:
    headers = {"Prefer": f"wait={_WAIT_SECONDS}"} if wait else {}
    return Call("GET", f"{JOBS}/{segment(job_id)}", headers=headers)


def job_result(site: Site, job_id: str, on_progress: Callable[[Job], object]) -> Flow[Any]:
    """Return the result of a job, when it has ended. Raises `JobFailed`."""
    while True:
        answer = yield from answered(site, job_call(job_id, wait=True))
        job = object_in(answer.body)
        on_progress(job)
        state = job.get("state")
        if state == "succeeded":
            return job.get("result")
        if state in _ENDED:
            raise JobFailed(job)
        if not isinstance(state, str):
            raise BadAnswer("the job has no state")
        # A server that does not hold the answer must not be asked without a pause.
        if "preference-applied" not in answer.headers:
            yield Sleep(1.0)


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
