"""`python -m tests.system.revoker`: runs `manage.py apikey revoke` for each id that it reads, in one process, and says so."""

import sys

import django
from django.core.management import call_command


def main() -> None:
    django.setup(set_prefix=False)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        call_command("apikey", "revoke", line.strip())


if __name__ == "__main__":
    main()
