"""`manage.py audit`: verify the chain of records, export them, remove old ones."""

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from audit.chain.prune import records_prune
from audit.chain.verify import Verification, chain_verify
from audit.exceptions import NoSuchBeginning, NotAsWritten
from audit.reading.export import lines_verify, ndjson_pieces
from audit.reading.filters import AuditFilter, records_selected
from ops.command_line import command_actor
from store.instant_text import parse_instant_or_epoch
from web.requests.exceptions import InvalidParameter

_TERMINAL = "-"


class Command(BaseCommand):
    help = "Verify the chain of audit records, export them, or remove old ones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        _add_verify(
            verbs.add_parser(
                "verify", help="name the first record that was altered or is missing, with exit code 1"
            )
        )
        _add_export(verbs.add_parser("export", help="write records as NDJSON, in the order of the chain"))
        _add_prune(verbs.add_parser("prune", help="remove the oldest records, up to a date"))

    def handle(self, *_: Any, verb: str, **options: Any) -> None:
        """Run a verb. Raises CommandError, and SystemExit(1) if verification finds anything."""
        run = {"verify": self._verify, "export": self._export, "prune": self._prune}
        run[verb](options)

    def _verify(self, options: dict[str, Any]) -> None:
        try:
            if options["file"]:
                with _opened(options["file"], "rb") as file:
                    result = lines_verify(file, is_unfiltered=options["unfiltered"])
            else:
                result = chain_verify(first=options["first"])
        except (NoSuchBeginning, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(_document(result)) if options["json"] else _sentence(result))
        if result.findings:
            sys.exit(1)

    def _export(self, options: dict[str, Any]) -> None:
        filters = {name: options[f"of_{name}"] for name in AuditFilter.base_filters}
        try:
            records = records_selected({name: value for name, value in filters.items() if value is not None})
            with _opened(options["file"], "wb") as file:
                for piece in ndjson_pieces(records):
                    file.write(piece)
                file.flush()
        except (InvalidParameter, OSError) as error:
            raise CommandError(str(error)) from error

    def _prune(self, options: dict[str, Any]) -> None:
        try:
            count = records_prune(
                before=options["before"],
                now=timezone.now(),
                actor=command_actor(),
                unverified=options["unverified"],
            )
        except NotAsWritten as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{count:,} records removed")


def _add_verify(verify: ArgumentParser) -> None:
    verify.add_argument(
        "--from", dest="first", type=int, metavar="N", help="trust the records before record N"
    )
    verify.add_argument(
        "--file", metavar="FILE", help="verify an export instead of the database; - is standard input"
    )
    verify.add_argument(
        "--unfiltered", action="store_true", help="the export has all records: no number may be missing"
    )
    verify.add_argument("--json", action="store_true", help="print a line of JSON")


def _add_export(export: ArgumentParser) -> None:
    for name, each in AuditFilter.base_filters.items():
        option = f"--{name.replace('_', '-')}"
        export.add_argument(option, dest=f"of_{name}", metavar="…", help=each.extra["help_text"])
    export.add_argument("file", nargs="?", default=_TERMINAL, metavar="FILE", help="default: standard output")


def _add_prune(prune: ArgumentParser) -> None:
    prune.add_argument("--before", required=True, type=_instant, metavar="DATE", help="such as 2025-01-02")
    prune.add_argument(
        "--unverified",
        action="store_true",
        help="remove records even if verification fails; the event contains the finding",
    )


def _opened(name: str, mode: str) -> BinaryIO:
    """Open a file; `-` opens standard input or output. Closing the result does not close those."""
    if name != _TERMINAL:
        return Path(name).open(mode)  # type: ignore[return-value]
    descriptor = sys.stdout.fileno() if mode == "wb" else sys.stdin.fileno()
    return open(descriptor, mode, closefd=False)  # type: ignore[return-value]


def _sentence(result: Verification) -> str:
    sentences = [finding.message for finding in result.findings]
    if result.records or not sentences:
        verified = (
            "1 record is as it was" if result.records == 1 else f"{result.records:,} records are as they were"
        )
        last = f", up to record {result.last.sequence:,}, {result.last.hash}" if result.last.sequence else ""
        sentences.append(f"{verified} written{last}")
    if result.remark:
        sentences.append(result.remark)
    return "\n".join(sentences)


def _document(result: Verification) -> dict[str, Any]:
    return {
        "ok": not result.findings,
        "records": result.records,
        "last": result.last._asdict(),
        "findings": [finding._asdict() for finding in result.findings],
        **({"remark": result.remark} if result.remark else {}),
    }


def _instant(text: str) -> datetime:
    try:
        return parse_instant_or_epoch(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
