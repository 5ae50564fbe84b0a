"""`manage.py backfill`: fills the gaps of a symbol, in this process."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from calendars.schedule import Hours
from jobs.backfills.filling import COUNTS
from jobs.backfills.models import Backfill
from jobs.backfills.records import KIND
from jobs.backfills.serializers import BackfillRequestSerializer
from jobs.follow import run_shown
from jobs.models import SUCCEEDED
from jobs.services import job_submit
from ops.command_line import command_actor
from store.instruments import GAP_RULES
from web.requests.field_errors import field_errors


class Command(BaseCommand):
    help = "Fetch the missing rows of a symbol from its source and the secondary ones. Needs no server; may run beside one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("symbol", metavar="SYMBOL")
        parser.add_argument("--start", required=True, help="an instant or a date, such as 2025-01-02")
        parser.add_argument("--end", required=True, help="the end, exclusive")
        parser.add_argument("--hours", choices=[hours.value for hours in Hours])
        parser.add_argument("--rule", choices=GAP_RULES, help="which missing bars are gaps")
        parser.add_argument("--json", action="store_true", help="print the job's result as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        names = ("symbol", "start", "end", "hours", "rule")
        serializer = BackfillRequestSerializer(data={name: options[name] for name in names if options[name]})
        if not serializer.is_valid():
            first = next(field_errors(serializer.errors))
            raise CommandError(f"{first.path}: {first.message}")
        actor = command_actor()
        job = job_submit(
            kind=KIND, parameters=serializer.validated_data, owner=actor, created_by=actor, now=timezone.now()
        )
        job = run_shown(job, Console(stderr=True))
        if job.state != SUCCEEDED:
            raise CommandError(job.error["message"] if job.error else f"the job is {job.state}")
        if options["json"]:
            self.stdout.write(json.dumps(job.result))
            return
        result = job.result or {}
        counts = ", ".join(f"{name}: {result[name]:,}" for name in COUNTS if result[name])
        table = Table("start", "end", "state", "rows", "source", caption=counts or "no gaps")
        for row in Backfill.objects.filter(job=job.uuid).order_by("start_ns"):
            told = "; ".join(f"{source}: {said}" for source, said in row.told) or "there is no source"
            table.add_row(row.start, row.end, row.state, f"{row.rows:,}", row.source or told)
        Console(file=self.stdout, width=180).print(table)  # type: ignore[arg-type]
        for warning in result["warnings"]:
            self.stdout.write(f"warning: {warning}")
