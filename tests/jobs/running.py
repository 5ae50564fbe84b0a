"""A worker's steps, one by one."""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from jobs.claims import job_claim
from jobs.models import QUEUED, Job
from jobs.run import run_claimed


def run_job(uuid: UUID | str) -> None:
    """Run a job as a worker does, whatever else waits; do nothing if it may not start."""
    now = timezone.now()
    others = Job.objects.filter(state=QUEUED, not_before__lte=now).exclude(uuid=uuid)
    times = dict(others.values_list("pk", "not_before"))
    others.update(not_before=now + timedelta(hours=1))
    job = job_claim()
    for pk, not_before in times.items():
        Job.objects.filter(pk=pk).update(not_before=not_before)
    if job is not None:
        assert str(job.uuid) == str(uuid)
        run_claimed(job)
