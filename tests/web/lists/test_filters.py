"""Filters of lists, as strict as other query parameters."""

import pytest
from django import forms
from django.test import RequestFactory
from django_filters import CharFilter, NumberFilter
from django_filters.rest_framework import FilterSet
from rest_framework.request import Request
from rest_framework.views import APIView

from trades.models import InstrumentEntry
from web.lists.filters import StrictFilterBackend, choice_filter
from web.requests.exceptions import InvalidParameter


class OwnField(forms.CharField):
    def clean(self, value):
        if value:
            raise forms.ValidationError("must be a number", code="invalid_number")


class OwnFilter(CharFilter):  # type: ignore[misc]  # not typed
    field_class = OwnField


class EntryFilter(FilterSet):  # type: ignore[misc]  # not typed
    right = choice_filter(("call", "put"), "Of options.")
    strike = NumberFilter()
    expiry = OwnFilter()

    class Meta:
        model = InstrumentEntry
        fields: tuple[str, ...] = ()


class EntriesView(APIView):
    filterset_class = EntryFilter


def selected(backend: StrictFilterBackend, query: str) -> list[str]:
    request = Request(RequestFactory().get(f"/?{query}"))
    entries = backend.filter_queryset(request, InstrumentEntry.objects.order_by("symbol"), EntriesView())
    return [entry.symbol for entry in entries]


@pytest.mark.django_db
def test_rows_that_hold_all_that_is_given_are_left():
    for symbol, right, strike in (("A", "call", 1), ("B", "put", 1), ("C", "put", 2)):
        InstrumentEntry.objects.create(symbol=symbol, right=right, strike=strike)
    assert selected(StrictFilterBackend(), "right=put&strike=1") == ["B"]
    assert selected(StrictFilterBackend(), "") == ["A", "B", "C"]


def test_the_first_wrong_value_is_refused():
    with pytest.raises(InvalidParameter, match=r"^right: must be one of call, put$") as refused:
        selected(StrictFilterBackend(), "strike=x&right=x")
    assert refused.value.code == "invalid_parameter"


def test_a_declared_code_of_a_form_field_is_that_of_the_refusal():
    with pytest.raises(InvalidParameter, match=r"^expiry: must be a number$") as refused:
        selected(StrictFilterBackend(), "expiry=x")
    assert refused.value.code == "invalid_number"
