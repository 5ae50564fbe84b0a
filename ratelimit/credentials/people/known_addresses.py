"""The addresses from which people have logged in, by which their logins are told from strangers' attempts.

They are in the database: Redis may lose its data at any moment, and this is the moment at which they are needed.
"""

from datetime import datetime, timedelta

from django.contrib.auth.base_user import AbstractBaseUser

from ratelimit.models import KnownAddress

# An address is known for so long after the last login from it, to within REFRESHED.
KNOWN_FOR = timedelta(days=30)
# A login writes its time only if the stored one is this old.
REFRESHED = timedelta(days=1)
# A person's newest ones are kept.
MOST_OF_A_PERSON = 50


def address_is_known(username: str, address: str, *, now: datetime) -> bool:
    """Return whether the person of that name, if there is one, has logged in from the address within KNOWN_FOR.

    address: an IPv4 address, or an IPv6 /64. Raises django.db.Error.
    """
    known = KnownAddress.objects.filter(address=address, last_login_at__gt=now - KNOWN_FOR)
    return known.filter(user__username=username).exists()


def address_note(user: AbstractBaseUser, address: str, *, now: datetime) -> None:
    """Note a login from an address. Raises django.db.Error."""
    addresses = KnownAddress.objects.filter(user_id=user.pk)
    known, is_new = addresses.get_or_create(user_id=user.pk, address=address, defaults={"last_login_at": now})
    if is_new:
        newest_first = addresses.order_by("-last_login_at", "-pk").values_list("pk", flat=True)
        addresses.filter(pk__in=list(newest_first[MOST_OF_A_PERSON:])).delete()
    elif now - known.last_login_at >= REFRESHED:
        addresses.filter(pk=known.pk).update(last_login_at=now)


def known_addresses_delete_old(*, now: datetime) -> int:
    """Delete the addresses that are known no longer. Returns how many."""
    removed, _ = KnownAddress.objects.filter(last_login_at__lte=now - KNOWN_FOR).delete()
    return removed
