"""An app that has webhooks wait seconds where they wait minutes, so that tests need not."""

from datetime import timedelta

from django.apps import AppConfig


class ShortWebhooks(AppConfig):
    name = "tests.system"
    label = "short_webhooks"

    def ready(self) -> None:
        from webhooks import sending  # noqa: PLC0415 it needs the apps

        for name, value in (
            ("SCHEDULE", (1,) * 100),
            ("_FIRST_PROBE", 0.5),
            ("_PROBE", 0.5),
            ("_BATCH_SECONDS", 2),
            ("LEASE", timedelta(seconds=20)),
        ):
            assert hasattr(sending, name)
            setattr(sending, name, value)
