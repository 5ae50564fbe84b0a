"""One wrong field of what was sent."""

from dataclasses import dataclass

# Of so many wrong fields, rows or corrections a refusal tells; more are not looked for.
ERRORS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: where (`trades[3].price`), a stable code, and a sentence."""

    path: str
    code: str
    message: str
