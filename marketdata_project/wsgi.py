"""The WSGI application, for `serve`'s web processes and for any other WSGI server."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketdata_project.settings.production")

application = get_wsgi_application()
