"""An app that has webhooks wait seconds where they wait minutes, so that tests need not."""

from datetime import timedelta

from django.apps import AppConfig


class ShortWebhooks(AppConfig):
    name = "tests.system"
    label = "short_webhooks"

    def ready(self) -> None:
        from webhooks import outcomes, sending  # noqa: PLC0415 it needs the apps

        for module, name, value in (
            (outcomes, "SCHEDULE", (1,) * 1000),
            (outcomes, "_FIRST_PROBE", 0.5),
            (outcomes, "_PROBE", 0.5),
            (sending, "_BATCH_SECONDS", 2),
            (sending, "LEASE", timedelta(seconds=20)),
        ):
            assert hasattr(module, name)
            setattr(module, name, value)
