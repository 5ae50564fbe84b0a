from django.urls import re_path

from audit.reading.views import AuditViewSet

urlpatterns = [re_path(r"^audit/?\Z", AuditViewSet.as_view({"get": "list"}), name="audit")]
