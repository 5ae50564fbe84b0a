"""`manage.py restore DIR`: copies a backup into DATA_DIR, which is empty."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from marketdata_project.backups import BackupError, Places, backup_restore
from marketdata_project.manual_backups import is_of_files, manual_restore


class Command(BaseCommand):
    help = "Copy a folder that `backup` made into DATA_DIR, which is empty."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", metavar="DIR", type=Path, help="a folder that `backup` made")

    def handle(self, *_: Any, folder: Path, **options: Any) -> None:
        """Copy it. Raises CommandError, over PostgreSQL or ClickHouse with the commands to use instead."""
        folder, data_dir = folder.absolute(), settings.DATA_DIR
        if not is_of_files():
            lines = "\n  ".join(manual_restore(folder))
            raise CommandError(
                "The database or the market data are not files in DATA_DIR. Restore into an empty database, store and"
                f" DATA_DIR. Run in a shell, in this order:\n  {lines}"
            )
        try:
            made = backup_restore(folder, Places.of_settings())
        except BackupError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError(f"Stopped. {data_dir} is not complete: remove it.", returncode=130) from None
        self.stdout.write(
            f"{made.files:,} files, {made.bytes:,} bytes of {made.made_at:%Y-%m-%d %H:%M:%SZ} in {data_dir}."
        )
        self.stdout.write(
            "Start the server. These check it: store verify; audit verify; account verify NAME."
        )
