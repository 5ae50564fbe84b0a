"""The URLs of dialects, as their clients make them: below `/api`, with the version of each of Alpaca's parts."""

from django.urls import re_path

from dialects.alpaca.hours import AlpacaHoursViewSet

below_api = [
    re_path(r"^v2/clock/?\Z", AlpacaHoursViewSet.as_view({"get": "clock"}), name="alpaca-clock"),
    re_path(r"^v2/calendar/?\Z", AlpacaHoursViewSet.as_view({"get": "calendar"}), name="alpaca-calendar"),
]
