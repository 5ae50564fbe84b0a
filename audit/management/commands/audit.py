"""`manage.py audit`: verify the chain of records, remove old ones."""

import json
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from audit.chain.links import Head
from audit.chain.prune import records_prune
from audit.chain.verify import Verification, chain_verify
from audit.exceptions import NoSuchBeginning, NotAsWritten
from ops.command_line import command_actor
from store.instant_text import parse_instant_or_epoch

_HEAD = re.compile("([1-9][0-9]*):([0-9a-f]{64})")


class Command(BaseCommand):
    help = "Verify the chain of audit records, or remove old ones."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        _add_verify(
            verbs.add_parser(
                "verify", help="name the first record that was altered or is missing, with exit code 1"
            )
        )
        _add_prune(verbs.add_parser("prune", help="remove the oldest records, up to a date"))

    def handle(self, *_: Any, verb: str, **options: Any) -> None:
        """Run a verb. Raises CommandError, and SystemExit(1) if verification finds anything."""
        run = {"verify": self._verify, "prune": self._prune}
        run[verb](options)

    def _verify(self, options: dict[str, Any]) -> None:
        try:
            result = chain_verify(first=options["first"], noted=options["head"])
        except NoSuchBeginning as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(_document(result)) if options["json"] else _sentence(result))
        if result.findings:
            sys.exit(1)

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
        "--head", type=_head, metavar="NUMBER:HASH",
        help="a head from the server's log: finds an end that was cut off, and a chain continued from before it",
    )  # fmt: skip
    verify.add_argument("--json", action="store_true", help="print a line of JSON")


def _add_prune(prune: ArgumentParser) -> None:
    prune.add_argument("--before", required=True, type=_instant, metavar="DATE", help="such as 2025-01-02")
    prune.add_argument(
        "--unverified",
        action="store_true",
        help="remove records even if verification fails; the event contains the finding",
    )


def _sentence(result: Verification) -> str:
    sentences = [finding.message for finding in result.findings]
    if result.records or not sentences:
        verified = (
            "1 record is as it was" if result.records == 1 else f"{result.records:,} records are as they were"
        )
        last = f", up to record {result.last.sequence:,}, {result.last.hash}" if result.last.sequence else ""
        sentences.append(f"{verified} written{last}")
    return "\n".join(sentences)


def _document(result: Verification) -> dict[str, Any]:
    return {
        "ok": not result.findings,
        "records": result.records,
        "last": result.last._asdict(),
        "findings": [finding._asdict() for finding in result.findings],
    }


def _head(text: str) -> Head:
    if not (head := _HEAD.fullmatch(text)):
        raise ArgumentTypeError(
            f"{text} is no NUMBER:HASH such as 4812:1b0e8a6f…, with a number from 1 on and all 64 digits of the hash"
        )
    return Head(int(head[1]), head[2])


def _instant(text: str) -> datetime:
    try:
        return parse_instant_or_epoch(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
