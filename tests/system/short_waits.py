"""An app that has the live feed wait seconds where it waits ten or thirty, so that tests need not."""

from django.apps import AppConfig

PING_SECONDS, FIRST_MESSAGE_SECONDS, IDLE_SECONDS = 1.0, 2.0, 4.0


class ShortWaits(AppConfig):
    name = "tests.system"
    label = "short_waits"

    def ready(self) -> None:
        from stats.live import application, connection  # noqa: PLC0415 they need the apps

        for module, name, seconds in (
            (application, "PING_SECONDS", PING_SECONDS),
            (application, "_FIRST_MESSAGE_SECONDS", FIRST_MESSAGE_SECONDS),
            (connection, "IDLE_SECONDS", IDLE_SECONDS),
        ):
            assert hasattr(module, name)
            setattr(module, name, seconds)
