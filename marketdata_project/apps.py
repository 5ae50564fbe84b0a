from django.apps import AppConfig


class MarketdataProjectConfig(AppConfig):
    name = "marketdata_project"
