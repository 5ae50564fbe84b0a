from django.urls import re_path

from stats.sessions.views import CalendarViewSet, ClockViewSet

urlpatterns = [
    re_path(r"^calendar/?\Z", CalendarViewSet.as_view({"get": "retrieve"}), name="calendar"),
    re_path(r"^clock/?\Z", ClockViewSet.as_view({"get": "retrieve"}), name="clock"),
]
