"""Settings, URLs, problem responses, the web front and the processes."""

from pathlib import Path

# Service, store and client have one version. The file belongs to the client, because the client is also installed alone.
__version__ = (
    Path(__file__).parents[1].joinpath("clients/python/marketdata_client/VERSION").read_text().strip()
)
