#!/usr/bin/env python
"""Django's command line for this project."""

import os
import signal
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from marketdata_project import __version__
from ops.command_line.disk_errors import one_line_for_disk_errors

if __name__ == "__main__":
    # What a command makes is nobody else's to read: the database, the secret key, market data.
    os.umask(0o077)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata_project.settings.development")
    try:
        with one_line_for_disk_errors():
            if sys.argv[1:] in (["version"], ["--version"]):  # Django would print its own version
                sys.stdout.write(f"{__version__}\n")
            else:
                execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
