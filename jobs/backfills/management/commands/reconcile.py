"""`manage.py reconcile SYMBOL --start … --end …`: compare rows with a source; with `--store`, store the differences."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from jobs.backfills.reconciling import KIND
from jobs.backfills.serializers import ReconciliationRequestSerializer
from jobs.follow import run_shown
from jobs.models import SUCCEEDED
from jobs.services import job_submit
from ops.command_line import command_actor, quiet_without_a_reader
from store.datasets import DATASETS
from web.requests.field_errors import field_errors
from web.requests.json_fields import JsonObject

_COUNTS = ("missing", "extra", "different", "unconfirmed", "appended", "cancelled", "corrected", "not_stored")


class Command(BaseCommand):
    help = "Compare the rows of a symbol with those of a source. See docs/backfills.md."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("symbol", metavar="SYMBOL")
        parser.add_argument("--source", help="default: the first that is configured to give this")
        parser.add_argument("--dataset", choices=list(DATASETS), help="default: trades")
        parser.add_argument("--start", required=True)
        parser.add_argument("--end", required=True, help="exclusive")
        parser.add_argument("--store", action="store_true", help="store the differences")
        parser.add_argument("--json", action="store_true", help="print the job's result as JSON")

    def handle(self, *_: Any, **options: Any) -> None:
        """Run a job in this process and print its result. Raises `CommandError` for wrong arguments and failed jobs."""
        given = {
            name: options[name]
            for name in ("symbol", "source", "dataset", "start", "end", "store")
            if options[name]
        }
        serializer = ReconciliationRequestSerializer(data=given)
        if not serializer.is_valid():
            raise CommandError(
                "; ".join(f"{each.path}: {each.message}" for each in field_errors(serializer.errors))
            )
        actor = command_actor()
        job = job_submit(
            kind=KIND, parameters=serializer.validated_data, owner=actor, created_by=actor, now=timezone.now(), urgency=1
        )  # fmt: skip
        job = run_shown(job, Console(stderr=True))
        if job.state != SUCCEEDED:
            raise CommandError(f"the job {job.state}: {(job.error or {}).get('message', job.uuid)}")
        with quiet_without_a_reader():
            if options["json"]:
                self.stdout.write(json.dumps(job.result))
            else:
                self._print(job.result or {})

    def _print(self, result: JsonObject) -> None:
        console = Console(file=self.stdout)  # type: ignore[arg-type]  # it has `write`
        if result["differences"]:
            console.print(differences_table(result))
        shown, found = len(result["differences"]), sum(result[name] for name in _COUNTS[:3])
        if shown < found:
            self.stdout.write(f"the first {shown:,} of {found:,} differences")
        for each in (*result["not_compared"], *result["refusals"]):
            when = (
                each["timestamp"] if "timestamp" in each else f"{each['start']} to {each['end']} not compared"
            )
            self.stdout.write(f"{when}: {each['reason']}")
        counts = ", ".join(f"{result[name]:,} {name.replace('_', ' ')}" for name in _COUNTS if result[name])
        self.stdout.write(
            f"{result['rows_here']:,} rows here, {result['rows_there']:,} in {result['source']}: {counts or 'no difference'}"
        )


def differences_table(result: JsonObject) -> Table:
    """Return the listed differences as a table for the terminal."""
    table = Table("difference", "timestamp", "id", "here", "there")
    for each in result["differences"]:
        identity = each.get("trade_id") or each.get("resolution") or ""
        table.add_row(
            each["kind"], each["timestamp"], identity, _values(each["here"]), _values(each["there"])
        )
    return table


def _values(row: JsonObject | None) -> str:
    return (
        ""
        if row is None
        else ", ".join(f"{name} {value}" for name, value in row.items() if name != "timestamp")
    )
