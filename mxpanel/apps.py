from allauth.usersessions.apps import UserSessionsConfig
from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class PanelConfig(AppConfig):
    name = "mxpanel"


class StaffAdminConfig(AdminConfig):
    """Django admin with our site, which asks for a second factor."""

    default_site = "mxpanel.staff.StaffSite"


class DevicesConfig(UserSessionsConfig):
    """allauth's table of sessions, filled by accounts.devices: its own receivers read each session of a person one by
    one at every sign-in.
    """

    def ready(self) -> None:
        pass
