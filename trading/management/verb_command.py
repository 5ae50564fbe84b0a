"""The base of the commands of trading: verbs, `--json`, and errors as sentences."""

import json
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

from ops.command_line.disk_errors import disk_problem
from trading.exceptions import TradingError


class VerbCommand(BaseCommand):
    """A command with verbs. Each is a method of the same name, called with the options."""

    def add_verbs(self, verbs: Any) -> None:
        """Add a parser for each verb."""
        raise NotImplementedError

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        self.add_verbs(verbs)
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="print JSON only")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb. Raises CommandError."""
        try:
            getattr(self, options["verb"])(options)
        except (TradingError, Error) as error:
            raise CommandError(disk_problem(error) or str(error)) from error

    def print_result(self, document: Any, lines: Iterable[str], options: dict[str, Any]) -> None:
        """Print the document as JSON with `--json`, else the lines."""
        for line in [json.dumps(document)] if options["json"] else lines:
            self.stdout.write(line)
