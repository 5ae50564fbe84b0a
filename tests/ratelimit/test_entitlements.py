"""What credentials are granted."""

from ratelimit.entitlements import GRANTS
from ratelimit.models import Entitlement


def test_every_column_of_an_entitlement_is_a_grant_or_its_end():
    columns = [field.name for field in Entitlement._meta.local_fields]
    assert [name for name in columns if name not in ("expires_at", "revoked_at")] == list(GRANTS)
