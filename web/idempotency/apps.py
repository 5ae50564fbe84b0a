from django.apps import AppConfig


class IdempotencyConfig(AppConfig):
    name = "web.idempotency"
    default_auto_field = "django.db.models.BigAutoField"
