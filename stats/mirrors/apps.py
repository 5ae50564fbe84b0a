from django.apps import AppConfig


class MirrorsConfig(AppConfig):
    name = "stats.mirrors"
    default_auto_field = "django.db.models.BigAutoField"
