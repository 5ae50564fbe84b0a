from django.apps import AppConfig


class RateLimitConfig(AppConfig):
    name = "ratelimit"
    verbose_name = "Keys and limits"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # These modules register themselves when imported: for the login signals, and for the schema generator.
        from ratelimit.credentials import schema  # noqa: F401, PLC0415
        from ratelimit.credentials.people import logins  # noqa: F401, PLC0415
