"""What the audit log refuses.

AuditError
├── AppendOnly         records are never changed; the program is wrong
├── AuditUnavailable   a call cannot be recorded, so it is refused and nothing was done; retry
├── ChangeOutcomeUnknown     a change was begun, not confirmed, nor is its record; look what is there, then retry
├── NotAsWritten       records that are to be removed are not as they were written; look into it first
└── NoSuchBeginning    verification is to begin where there is no record; begin elsewhere
"""

from typing import ClassVar


class AuditError(Exception):
    """What a client can meet has a stable `code`; the message is for people."""

    code: ClassVar[str]


class AppendOnly(AuditError):
    """Records are written by the audit log itself and never changed. Correct the program."""

    def __init__(self) -> None:
        super().__init__("audit records are never changed")


class AuditUnavailable(AuditError):
    """The call cannot be recorded now and was refused; nothing was done. Retry."""

    code = "audit_unavailable"

    def __init__(self) -> None:
        super().__init__("the call cannot be recorded now, so it was not done")


class ChangeOutcomeUnknown(AuditError):
    """The change may have been made, and its record is not confirmed. Look what is there, then retry."""

    code = "outcome_unknown"

    def __init__(self) -> None:
        super().__init__("the change was begun and its record is not confirmed; look what is there")


class NotAsWritten(AuditError):
    """Records that are to be removed were altered, or some are missing. Look into it, then ask for it."""

    def __init__(self, finding: str) -> None:
        super().__init__(f"nothing was removed: {finding}")


class NoSuchBeginning(AuditError):
    """There is no record of that number to begin with. Begin elsewhere."""
