from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PanelConfig(AppConfig):
    name = "mxpanel"


class StaffAdminConfig(AdminConfig):
    """Django admin with our site, which asks for a second factor."""

    default_site = "mxpanel.staff.StaffSite"
