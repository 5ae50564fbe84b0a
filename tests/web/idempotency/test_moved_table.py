"""Answers that were kept when the table was another app's are kept still."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from tests.api_client import answer
from tests.ratelimit.keys.key_calls import post
from web.idempotency.models import SealedAnswer

pytestmark = pytest.mark.system

BEFORE = [("ratelimit", "0005_hashed_idempotency_keys"), ("idempotency", None)]


def migrated(targets):
    """The models as they are after it."""
    return MigrationExecutor(connection).migrate(targets).apps


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("project_redis")
def test_an_answer_that_the_version_before_kept_is_given_again(api):
    first = post(api, idempotency_key="k1")
    everything = MigrationExecutor(connection).loader.graph.leaf_nodes()
    kept = migrated(BEFORE).get_model("ratelimit", "SealedAnswer").objects
    try:
        row = kept.values().get()
    finally:
        migrated(everything)
    assert SealedAnswer.objects.values().get() == row
    again = post(api, idempotency_key="k1")
    assert (again["Idempotency-Replayed"], answer(again)) == ("true", answer(first))
