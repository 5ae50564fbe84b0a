from django.apps import AppConfig


class BackfillsConfig(AppConfig):
    name = "jobs.backfills"
    default_auto_field = "django.db.models.BigAutoField"
