from allauth.usersessions.apps import UserSessionsConfig
from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate


class PanelConfig(AppConfig):
    name = "mxpanel"


class StaffAdminConfig(AdminConfig):
    """Django admin with our site, which asks for a second factor."""

    default_site = "mxpanel.staff.StaffSite"

    def ready(self) -> None:
        """The groups of staff are made after the last app, which this is: by then all permissions are there."""
        from mxpanel.staff_roles import make_groups

        super().ready()
        post_migrate.connect(make_groups, sender=self, dispatch_uid="staff roles")


class DevicesConfig(UserSessionsConfig):
    """allauth's table of sessions, filled by accounts.devices: its own receivers read each session of a person one by
    one at every sign-in.
    """

    def ready(self) -> None:
        pass
