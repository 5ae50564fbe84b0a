"""`manage.py import --format FORMAT PATTERN…`: imports files."""

from argparse import ArgumentParser

from trades.imports.formats import AUTO, FORMATS
from trades.management.import_command import ImportCommand


class Command(ImportCommand):
    """Imports files of any format."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--format", default=AUTO, choices=list(FORMATS), help="the layout of the files (default: found)"
        )
