"""`manage.py login_link`: prints a link that logs a browser of this machine in, once."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from ops.serve.installation import running_url
from ratelimit.credentials.login_link import login_link_create


class Command(BaseCommand):
    help = (
        "Print a link that logs a browser of this machine in, once. Then earlier links are no longer valid."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", help="the server; default: the one that runs, else PORT of this machine")
        parser.add_argument(
            "--next",
            default="",
            dest="page",
            help="the page to which the link leads, percent-encoded; default: the dashboard",
        )

    def handle(self, *args: Any, url: str | None, page: str, **options: Any) -> None:
        if not settings.LOGIN_LINK:
            raise CommandError("LOGIN_LINK is off: log in by name, or by key on the dashboard.")
        base = url or running_url(settings.RUN_DIR) or f"http://127.0.0.1:{settings.PORT}"
        link = login_link_create(base=base.rstrip("/"))
        self.stdout.write(f"{link}&next={page}" if page else link)
