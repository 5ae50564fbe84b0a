"""Settings of other hosts: which of them may be asked."""

from django.core.exceptions import ImproperlyConfigured

from marketdata_project.settings.environment import env, networks

# The schemes of URLs that may be asked.
OUTBOUND_SCHEMES = tuple(env.list("OUTBOUND_SCHEMES", default=["https"]))
if not {"http", "https"}.issuperset(OUTBOUND_SCHEMES):
    raise ImproperlyConfigured("OUTBOUND_SCHEMES: list https, or http,https")
# Networks that may be asked beside the public ones.
OUTBOUND_NETWORKS = networks("OUTBOUND_NETWORKS")
