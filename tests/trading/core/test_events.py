"""Events and states as JSON: nothing is lost, and the same event gives the same text."""

from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from tests.chance import SOAK
from trading.core.account import AccountState, decoded_state, encoded_state
from trading.core.events import Event, decoded, encoded, name_of

_SIMPLE: dict[type, st.SearchStrategy[Any]] = {
    inspect.DecimalType: st.decimals(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        [Decimal("0.000000"), Decimal("-0.00"), Decimal("1E+2"), Decimal("0.3333333333333333")]
    ),
    inspect.StrType: st.text(max_size=8),
    inspect.IntType: st.integers(-(2**63), 2**63 - 1),
    inspect.BoolType: st.booleans(),
    inspect.NoneType: st.none(),
}


def _values(info: inspect.Type) -> st.SearchStrategy[Any]:
    """Return a strategy for the values of a type."""
    match info:
        case inspect.UnionType():
            values = st.one_of(*(_values(each) for each in info.types))
        case inspect.StructType():
            values = st.builds(info.cls, **{field.name: _values(field.type) for field in info.fields})
        case inspect.EnumType():
            values = st.sampled_from(list(info.cls))
        case inspect.VarTupleType():
            values = st.lists(_values(info.item_type), max_size=2).map(tuple)
        case inspect.ListType():
            values = st.lists(_values(info.item_type), max_size=2)
        case inspect.DictType():
            values = st.dictionaries(_values(info.key_type), _values(info.value_type), max_size=2)
        case _:
            values = _SIMPLE[type(info)]
    return values


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__name__)
def test_event_is_read_as_it_was_written(kind: type[msgspec.Struct]) -> None:
    @given(event=_values(inspect.type_info(kind)))
    @settings(max_examples=50 if SOAK else 4)
    def check(event: Any) -> None:
        text = encoded(event)
        again = decoded(text)
        assert (again, name_of(again)) == (event, name_of(event))
        assert encoded(again) == text

    check()


@given(state=_values(inspect.type_info(AccountState)))
@settings(max_examples=100 if SOAK else 4)
def test_state_is_read_as_it_was_written(state: AccountState) -> None:
    data = encoded_state(state)
    assert decoded_state(data) == state
    assert encoded_state(decoded_state(data)) == data
