"""Keeps the head file of many hosts: the worker that runs the duties compares it with the chain, and writes the head."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from audit.chain.append import contradictions, head_of_chain, records_append, write_transaction
from audit.chain.head_file import head_file


def head_keep(*, now: datetime) -> None:
    """Write the chain's head to the head file of this host, if AUDIT_HEAD_BY_DUTY.

    If the database contradicts the file, or there is none, an event about it is recorded with it: if the file cannot be
    written, neither is done. Raises django.db.Error.
    """
    file = head_file()
    if not settings.AUDIT_HEAD_BY_DUTY or file.read() == (head := head_of_chain()):
        return
    if not (found := contradictions(head, now)):
        file.advance(head)
        return
    with write_transaction():
        head = records_append(found, now=now)
        if not file.advance(head, is_contradicted=True):
            # Without the file, each call would record the event again.
            transaction.set_rollback(True)
