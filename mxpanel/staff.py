"""The staff site: stock Django admin behind a second factor."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect

from accounts.access import has_second_factor, staff_page


class StaffSite(AdminSite):
    site_title = "Staff"
    site_header = "Staff"
    index_title = "Work"
    site_url = "/"

    def has_permission(self, request: Any) -> bool:
        return bool(request.user.is_active and request.user.is_staff and has_second_factor(request))

    def admin_view(self, view: Callable[..., HttpResponseBase], cacheable: bool = False) -> Callable[..., Any]:
        return staff_page(super().admin_view(view, cacheable))

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return redirect("account_login")

    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return redirect("account_logout")

