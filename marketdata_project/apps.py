from django.apps import AppConfig


class MarketdataProjectConfig(AppConfig):
    name = "marketdata_project"

    def ready(self) -> None:
        # Imported here because these need the other apps.
        from marketdata_project.checks import register_checks  # noqa: PLC0415
        from marketdata_project.wiring import wire  # noqa: PLC0415

        wire()
        register_checks()
