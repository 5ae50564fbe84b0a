from django.apps import AppConfig


class RateLimitConfig(AppConfig):
    name = "ratelimit"
    verbose_name = "Keys and limits"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Importing these modules registers classes with the schema generator, and handlers of the login signals.
        from ratelimit.credentials import logins, schema  # noqa: F401, PLC0415
