"""Types of fields that many documents have, with their examples."""

from typing import Annotated, Literal

from web.documents import Instant, Uuid, like

EXAMPLE_ORDER = "0b6f2c1e-3a57-4a52-9a37-5d6b8d2f7c11"
EXAMPLE_EXECUTION = "6c1d9a54-8f0e-4b1f-8a51-2f4f0d3e9b22"

AccountId = Annotated[str, like("main")]
Symbol = Annotated[str, like("AAPL")]
Currency = Annotated[str, like("USD")]
Strategy = Annotated[str | None, like("momentum")]
OrderId = Annotated[Uuid, like(EXAMPLE_ORDER)]
ExecutionId = Annotated[Uuid, like(EXAMPLE_EXECUTION)]
Direction = Literal["LONG", "SHORT"]
# When an order of the examples was placed, and when it filled.
Placed = Annotated[Instant, like("2025-01-02T14:30:00Z")]
Filled = Annotated[Instant, like("2025-01-02T14:30:01Z")]
Quantity = Annotated[float, like(100.0)]
Price = Annotated[float, like(189.98)]
Fee = Annotated[float, like(1.0)]
Rate = Annotated[float, like(1.0)]
