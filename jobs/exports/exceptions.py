"""Errors of exports.

JobError
└── UnfinishedExport   the export has no files yet, or its job did not succeed
"""

from jobs.exceptions import JobError


class UnfinishedExport(JobError):
    """The export's job has not succeeded, so there are no files. Look at the job's state."""

    code = "not_found"

    def __init__(self, state: str) -> None:
        super().__init__(f"the export is {state}: its files are there when its job has succeeded")
