"""The kinds of jobs, declared as data. `marketdata_project` provides the table at start-up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from rest_framework.serializers import Serializer

from ops.needs import Need
from web.endpoints import Access
from web.requests.json_fields import JsonObject

# Nobody has this scope.
NOBODY_SUBMITS = Access("")


class Run(Protocol):
    """A running job, as its function sees it.

    A function may be called again with the same job: after its worker died, or beside a worker that slept past its
    lease. The function continues from `note`, and must store nothing twice.
    """

    @property
    def uuid(self) -> UUID:
        """The job's id."""

    @property
    def created_by(self) -> str:
        """The `Caller.identity` that submitted the job."""

    @property
    def parameters(self) -> JsonObject:
        """The job's parameters, as its kind's serializer validated them (JSON values)."""

    @property
    def is_confirmed(self) -> bool:
        """Whether somebody confirmed the preview of an earlier call, which raised `ConfirmationNeeded`."""

    @property
    def note(self) -> JsonObject:
        """What the last call of `leave` left; {} at first."""

    def progress(self, done: int, total: int | None = None) -> None:
        """Say how much is done, in the kind's unit; total: None if unknown. Also does what `check` does."""

    def leave(self, note: JsonObject) -> None:
        """Store, durably, what a later attempt needs to continue. Also does what `check` does."""

    def check(self) -> None:
        """Raise JobStopped if the job must end now. Cheap: call it at least once a second."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of jobs.

    function: does the work and returns the result, a JSON document; None for jobs that their call does (`job_done`). It raises the apps' errors: those with a status
    below 500 end the job as failed, others are tried again. serializer: validates the parameters. unit: what
    progress counts. turn: returns a job's turn (see `Job`) from its parameters. at_once: the most that run at the same
    time in the whole installation; one owner may run one less. attempts: after so many the job has failed. access: of the call
    that submits it; without it only schedules submit the kind. account_parameter: the name of the parameter with the job's account; "" for none.
    most_unfinished: a caller with so many unfinished jobs of the kind may submit no other.
    is_result_large: lists of jobs have null instead of the result. is_export: whether its
    jobs leave files, which `/exports` gives. is_schedulable: whether `JOB_SCHEDULES` may name it; its
    serializer then needs no context.
    """

    name: str
    function: Callable[[Run], JsonObject] | None
    serializer: Callable[..., Serializer[Any]]
    unit: str
    access: Access = NOBODY_SUBMITS
    turn: Callable[[JsonObject], str] = lambda _: ""
    at_once: int = 3
    attempts: int = 20
    account_parameter: str = ""
    most_unfinished: int = 1_000
    is_result_large: bool = False
    is_export: bool = False
    is_schedulable: bool = False


JOB_KINDS: Need[Mapping[str, JobKind]] = Need("jobs.kinds.JOB_KINDS")
