"""A process that logs a person in and shows one refresh token on many threads at once, over a migrated database in a file."""

import sys
import threading

import django
import orjson
from django.db import connections


def main() -> None:
    django.setup()
    from ratelimit.models import TokenSession  # noqa: PLC0415 models need the set-up
    from tests.ratelimit.credentials.logins import logged_in, person, post  # noqa: PLC0415 as above

    person(scopes=["market:read"])
    tokens = logged_in()
    start = threading.Barrier(THREADS)
    statuses: list[int] = []

    def refresh() -> None:
        start.wait()
        statuses.append(post("/auth/refresh", {"refresh": tokens["refresh"]}).status_code)
        connections.close_all()

    threads = [threading.Thread(target=refresh) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    living = TokenSession.objects.filter(ended_at=None).count()
    sys.stdout.write(orjson.dumps({"statuses": statuses, "living": living}).decode())


THREADS = 20

if __name__ == "__main__":
    main()
