"""The page on the audit log: its calls and its commands work."""

import re
import shlex
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from audit.chain.append import head_of_chain
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
def test_the_commands_work():
    event_record(
        at=timezone.now(),
        actor="command:me",
        audit_class="keys",
        event="key.created",
        subject="key:1",
        detail={},
    )
    head = head_of_chain()
    for line in COMMANDS.strip().splitlines():
        shown = re.sub(r"--head \S+", f"--head {head.sequence}:{head.hash}", line)
        call_command(*shlex.split(shown)[1:], stdout=StringIO())


def test_the_page_names_each_filter_and_each_column_in_its_order():
    assert [name for name in AuditFilter.base_filters if f"`{name}`" not in PAGE] == []
    formula = " ".join(PAGE[PAGE.index("JSON of [n,") : PAGE.index("])\n")].split())
    assert formula == f"JSON of [n, {', '.join(AuditColumns._fields)}"
