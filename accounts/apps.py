from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People and customers"

    def ready(self) -> None:
        from accounts import (  # noqa: F401  they register what they hold and send
            deleting,
            devices,
            email_changing,
            exporting,
            lifting,
            member_mail,
            personal_data,
            security,
        )
        from accounts.webhooks import targets  # noqa: F401  registers a check of the settings

        user_logged_in.connect(devices.note_sign_in)
        user_logged_in.connect(lifting.warn_at_sign_in)
        user_logged_in.connect(deleting.warn_at_sign_in)
