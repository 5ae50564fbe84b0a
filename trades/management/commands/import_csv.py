"""`manage.py import_csv PATTERN…`: the same as `manage.py import --format csv`."""

from argparse import ArgumentParser

from trades.management.import_command import ImportCommand


class Command(ImportCommand):
    """Imports CSV files."""

    help = "Import CSV files of any size: files, patterns, folders. Rows that are stored already are skipped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(format="csv")
