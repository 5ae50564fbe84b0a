from typing import Any

from django.apps import AppConfig

from stats.delivery.answers import answer_computed


class BackfillsConfig(AppConfig):
    name = "jobs.backfills"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Look for gaps in the bars of each computed answer."""
        answer_computed.connect(_look_for_gaps)


def _look_for_gaps(**sent: Any) -> None:
    from jobs.backfills.services import gaps_queue  # noqa: PLC0415 commands that compute nothing need not load it

    gaps_queue(**sent)
