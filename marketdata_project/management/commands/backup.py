"""`manage.py backup DIR`: copies the installation into a new folder while it runs."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from marketdata_project.backups import BackupError, Places, backup_make
from marketdata_project.manual_backups import is_of_files, manual_backup


class Command(BaseCommand):
    help = "Copy the database, market data, audit log, secrets and own strategies into a new folder. The server may be running."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="DIR", type=Path, help="a new or empty folder")

    def handle(self, *_: Any, folder: Path, **options: Any) -> None:
        """Copy it. Raises CommandError, over PostgreSQL or ClickHouse with the commands to use instead."""
        folder = folder.absolute()
        if not is_of_files():
            lines = "\n  ".join(manual_backup(folder))
            raise CommandError(
                "The database or the market data are not files in DATA_DIR. Run in a shell, in this order:\n"
                f"  {lines}"
            )
        try:
            made = backup_make(Places.of_settings(), folder)
        except BackupError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError(f"Stopped. {folder} is no backup: remove it.", returncode=130) from None
        self.stdout.write(f"{made.files:,} files, {made.bytes:,} bytes in {folder}. It contains secrets.")
        if names := _secrets_outside():
            self.stdout.write(
                f"Not in it: {', '.join(names)}. The restored server needs the same; keep a copy apart."
            )


def _secrets_outside() -> list[str]:
    """Return the names of the secrets that the environment gives: what they sealed is read with no others."""
    own = [] if settings.SECRET_KEY_IS_OWN else ["SECRET_KEY"]
    return own + [name for name in ("SIGNING_SECRET", "AUDIT_KEY") if getattr(settings, name)]
