"""Kinds of jobs for tests."""

from collections.abc import Callable
from typing import Any

from rest_framework import serializers

from jobs.kinds import JobKind, Run
from web.endpoints import Access
from web.requests.field_errors import KnownFieldsSerializer


class CountSerializer(KnownFieldsSerializer):
    """Parameters of a job that counts."""

    upto = serializers.IntegerField(default=3)


def count(run: Run) -> dict[str, Any]:
    """Count from the note on, and leave a note at each step."""
    upto = run.parameters.get("upto", 3)
    for number in range(run.note.get("counted", 0), upto):
        run.leave({"counted": number + 1})
        run.progress(number + 1, upto)
    return {"counted": upto}


def kind(function: Callable[[Run], dict[str, Any]] = count, **options: Any) -> JobKind:
    return JobKind(
        **{
            "name": "count",
            "function": function,
            "serializer": CountSerializer,
            "unit": "steps",
            "access": Access("market:write"),
            "is_schedulable": True,
            **options,
        }
    )
