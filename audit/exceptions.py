"""Errors of the audit log.

AuditError
├── AppendOnly             records are never changed; correct the program
├── AuditUnavailable       the call cannot be recorded, so nothing was done; retry
├── ChangeOutcomeUnknown   neither the change nor its record is confirmed; check the current state, then retry
├── NotAsWritten           records to be pruned were altered or are missing; investigate first
└── NoSuchBeginning        verification cannot begin at this number; give another
"""

from typing import ClassVar


class AuditError(Exception):
    """Base class. Errors that clients see have a stable `code`; the message is for people."""

    code: ClassVar[str]


class AppendOnly(AuditError):
    """Only the audit log writes records, and nothing changes them. Correct the program."""

    def __init__(self) -> None:
        super().__init__("audit records cannot be changed")


class AuditUnavailable(AuditError):
    """The call cannot be recorded now; nothing was done. Retry."""

    code = "audit_unavailable"

    def __init__(self) -> None:
        super().__init__("the call cannot be recorded now and was not done: send it again")


class ChangeOutcomeUnknown(AuditError):
    """The change may have been made; its record is not confirmed. Check the current state, then retry."""

    code = "outcome_unknown"

    def __init__(self) -> None:
        super().__init__(
            "the change may have been made, but its record is not confirmed: read what is there before sending it again"
        )


class NotAsWritten(AuditError):
    """Records to be pruned were altered or are missing. Investigate, then prune with `--unverified`."""

    def __init__(self, finding: str) -> None:
        super().__init__(f"nothing was removed: {finding}")


class NoSuchBeginning(AuditError):
    """Verification cannot begin at this number: the record before it is missing. Give another."""
