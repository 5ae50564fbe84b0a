"""The documents of batches of orders."""

from typing import Annotated, Literal

from trading.documents.fields import AccountId, Currency, Fee, OrderId
from web.documents import AnswerDocument, about, like


class ItemFieldErrorDocument(AnswerDocument):
    """What is wrong with a field of an order."""

    path: Annotated[str, like("limit_price")]
    code: Annotated[str, like("required")]
    message: Annotated[str, like("is missing; an order of the type limit needs it")]


class ItemErrorDocument(AnswerDocument):
    """Why an order of a batch was refused."""

    code: Annotated[str, about("As of the problem that the order alone would get.", "validation_failed")]
    message: Annotated[str, like("1 field is wrong")]
    errors: list[ItemFieldErrorDocument]


class OrderBatchItemDocument(AnswerDocument):
    """What became of one order of a batch."""

    index: Annotated[int, about("In the body, from 0.", 0)]
    status: Annotated[
        Literal["accepted", "repeated", "refused"],
        about("`repeated`: an earlier call did it. Of a cancel, `accepted` means that it is asked for."),
    ]
    order_id: Annotated[OrderId | None, about("null if it was refused, and in a preview.")]
    client_order_id: Annotated[str | None, like("m-1")]
    error: ItemErrorDocument | None


class CancelBatchDocument(AnswerDocument, kw_only=True):
    """What became of the orders of a batch, in the order of the body."""

    account: AccountId
    accepted: Annotated[int, like(1)]
    repeated: Annotated[int, like(0)]
    refused: Annotated[int, like(0)]
    items: list[OrderBatchItemDocument]
    event: Annotated[int, about("The number of the account's last event.", 7)]


class OrderBatchDocument(CancelBatchDocument, kw_only=True):
    """What became of the orders of a batch, or would, with `preview`. Sums are of the accepted ones."""

    preview: Annotated[bool, about("Whether nothing was done.", False)]
    currency: Annotated[Currency, about("Of the sums: the account's.")]
    cost: Annotated[
        float, about("Their quantities times their limits or the market's prices, with the fees.", 1896.0)
    ]
    worst_cost: Annotated[
        float, about("What they cost at most, at their limits or collars, with the fees there.", 1990.75)
    ]
    fee: Annotated[Fee, about("At the prices of `cost`.", 1.0)]
    gross_after: Annotated[
        float | None, about("Of all symbols, with all working orders; null if none was accepted.", 1895.0)
    ]
    equity: Annotated[float | None, about("null if none was accepted.", 100_000.0)]
