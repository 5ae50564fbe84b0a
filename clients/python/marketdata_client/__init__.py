"""Client of the market-data API: `Client` for threads, `AsyncClient` for asyncio."""

from marketdata_client._async.client import AsyncClient
from marketdata_client._sync.client import Client
from marketdata_client.config import VERSION, Retries
from marketdata_client.credentials import ApiKey, BearerToken, Credential, Signer
from marketdata_client.errors import (
    BadAnswer,
    BadSignature,
    ConfirmationNeeded,
    Conflict,
    FieldError,
    Forbidden,
    IncompleteStream,
    InvalidRequest,
    JobFailed,
    JournalConflict,
    MarketDataError,
    NotAuthenticated,
    NotFound,
    RateLimited,
    Refused,
    ServerFailed,
    Unreachable,
)
from marketdata_client.ingesting import Ingested
from marketdata_client.live import Frame
from marketdata_client.tables import Table
from marketdata_client.webhooks import verify_webhook

__version__ = VERSION
__all__ = [
    "ApiKey",
    "AsyncClient",
    "BadAnswer",
    "BadSignature",
    "BearerToken",
    "Client",
    "ConfirmationNeeded",
    "Conflict",
    "Credential",
    "FieldError",
    "Forbidden",
    "Frame",
    "IncompleteStream",
    "Ingested",
    "InvalidRequest",
    "JobFailed",
    "JournalConflict",
    "MarketDataError",
    "NotAuthenticated",
    "NotFound",
    "RateLimited",
    "Refused",
    "Retries",
    "ServerFailed",
    "Signer",
    "Table",
    "Unreachable",
    "verify_webhook",
]
