from django.apps import AppConfig


class MarketdataProjectConfig(AppConfig):
    name = "marketdata_project"

    def ready(self) -> None:
        from marketdata_project.checks import register_checks  # noqa: PLC0415 needs the other apps

        register_checks()
