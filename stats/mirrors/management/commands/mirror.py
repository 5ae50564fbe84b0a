"""`manage.py mirror URL DIR SYMBOL…`: follows another installation's logs into a local store."""

import os
import signal
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError

from ops.outbound.exceptions import DestinationRefused
from stats.mirrors.following import FAILURES, ProgressLines, failure_text, follow, printable
from stats.mirrors.origin import InstallationLogs
from store.copies import MirrorError
from store.mirroring import Mirror
from store.symbols import InvalidSymbol, parse_symbol

KEY_VARIABLE = "MARKETDATA_KEY"


class Command(BaseCommand):
    help = "Follow the logs of symbols of another installation into a local store, until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("url", metavar="URL", help="of the other installation, before its /api/v1")
        parser.add_argument(
            "folder", metavar="DIR", type=Path, help="of the mirror; new, or a mirror already"
        )
        parser.add_argument("symbols", metavar="SYMBOL", nargs="+")
        parser.add_argument("--once", action="store_true", help="copy what there is, and end")
        parser.add_argument(
            "--anew", action="store_true", help="copy logs that were restored again, from the beginning"
        )
        parser.add_argument(
            "--key-file", metavar="FILE", type=Path, help=f"has the API key; default: ${KEY_VARIABLE}"
        )

    def handle(
        self, *_: Any, url: str, folder: Path, symbols: list[str], once: bool, anew: bool, **options: Any
    ) -> None:
        """Print a line for each log when it changes. Raises CommandError for what cannot be copied."""
        try:
            names = list(dict.fromkeys(map(parse_symbol, symbols)))
            source = InstallationLogs(url.rstrip("/"), _key(options["key_file"]))
        except (InvalidSymbol, DestinationRefused) as error:
            raise CommandError(str(error)) from error
        signal.signal(signal.SIGTERM, _end)
        lines = ProgressLines(self._say)
        mirror = Mirror(folder, url)
        try:
            with mirror.opened():
                follow(mirror, source, names, once=once, anew=anew, lines=lines)
        except KeyboardInterrupt:
            pass
        except (*FAILURES, MirrorError) as error:
            raise CommandError(printable(failure_text(error))) from error
        finally:
            self._say(lines.summary())
        if once and any(each.problem for each in lines.newest.values()):
            raise CommandError("not all logs were copied")

    def _say(self, text: str) -> None:
        self.stdout.write(printable(text))
        self.stdout.flush()


def _key(file: Path | None) -> str:
    try:
        key = os.environ.get(KEY_VARIABLE, "") if file is None else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read") from error
    if not key.strip():
        raise CommandError(f"give an API key in {KEY_VARIABLE}, or in a file with --key-file")
    return key.strip()


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
