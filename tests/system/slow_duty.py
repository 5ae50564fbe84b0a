"""An app that gives the worker a duty which stands still for as long as nobody writes to a pipe in DATA_DIR."""

from datetime import datetime
from pathlib import Path

from django.apps import AppConfig
from django.conf import settings

PIPE = "slow-duty"


class SlowDuty(AppConfig):
    name = "tests.system"
    label = "slow_duty"

    def ready(self) -> None:
        from marketdata_project import duties  # noqa: PLC0415 its models need the apps

        duties.DUTIES = (duties.Duty(pipe_read, period=duties.SECOND), *duties.DUTIES)


def pipe_read(*, now: datetime) -> None:
    """Read the pipe to its end."""
    (Path(settings.DATA_DIR) / PIPE).read_bytes()
