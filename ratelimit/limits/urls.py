from django.urls import re_path

from ratelimit.limits.views import LimitsViewSet

urlpatterns = [re_path(r"^limits/?\Z", LimitsViewSet.as_view({"get": "retrieve"}), name="limits")]
