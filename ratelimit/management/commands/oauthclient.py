"""`manage.py oauthclient` is gone. It says what to use instead."""

from typing import NoReturn

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Is gone: every API key is an OAuth2 client. Use apikey create."

    def run_from_argv(self, argv: list[str]) -> NoReturn:
        """Refuse, whatever the arguments are."""
        raise SystemExit(
            "oauthclient is gone: every API key is an OAuth2 client. Use apikey create, rotate or revoke."
        )
