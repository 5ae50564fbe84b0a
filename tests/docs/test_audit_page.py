"""The page on the audit log: its calls and its commands work."""

import re
import shlex
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from audit.reading.filters import AuditFilter
from audit.records.columns import AuditColumns
from audit.services import event_record

PAGE = (settings.BASE_DIR / "docs" / "audit.md").read_text()
CALLS, COMMANDS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


def test_the_calls_work(api):
    told = []
    for line in CALLS.strip().splitlines():
        url = next(word for word in shlex.split(line) if word.startswith("$URL"))
        answer = api.get(url.removeprefix("$URL"))
        told.append((answer.status_code, answer["Content-Type"]))
    assert told == [(200, "application/json")] * 2 + [(200, "application/x-ndjson")]


@pytest.mark.django_db
def test_the_commands_work(settings, tmp_path: Path, monkeypatch, django_capture_on_commit_callbacks):
    settings.AUDIT_DIR = tmp_path / "audit"
    monkeypatch.chdir(tmp_path)
    with django_capture_on_commit_callbacks(execute=True):
        event_record(
            at=timezone.now(),
            actor="command:me",
            audit_class="keys",
            event="key.created",
            subject="key:1",
            detail={},
        )
    for line in COMMANDS.strip().splitlines():
        call_command(*shlex.split(line)[1:], stdout=StringIO())
    assert len((tmp_path / "audit.ndjson").read_text().splitlines()) == 1


def test_the_page_names_each_filter_and_each_column_in_its_order():
    assert [name for name in AuditFilter.base_filters if f"`{name}`" not in PAGE] == []
    formula = " ".join(PAGE[PAGE.index("JSON of [n,") : PAGE.index("])\n")].split())
    assert formula == f"JSON of [n, {', '.join(AuditColumns._fields)}"
