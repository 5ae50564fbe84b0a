"""What the commands about credentials have in common: verbs that are methods, `--json`, refusals."""

import json
from abc import ABC, abstractmethod
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ratelimit.exceptions import KeyAdministrationError


class CredentialCommand(BaseCommand, ABC):
    """A command whose verbs are its methods of the same name, which take the options."""

    @abstractmethod
    def add_verbs(self, verbs: Any) -> None:
        """Add a parser for each verb."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        self.add_verbs(verbs)
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="print JSON only")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the verb. Raises CommandError for what cannot be granted or is not there."""
        try:
            getattr(self, options["verb"])(options)
        except KeyAdministrationError as error:
            raise CommandError(str(error)) from None

    def tell(self, document: Any, lines: Iterable[str], options: dict[str, Any]) -> None:
        """Print the document where JSON is asked for, else the lines."""
        for line in [json.dumps(document)] if options["json"] else lines:
            self.stdout.write(line)
