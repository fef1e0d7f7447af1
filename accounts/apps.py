from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People and customers"

    def ready(self) -> None:
        from accounts import devices, personal_data  # noqa: F401  the latter registers an exporter and an eraser

        user_logged_in.connect(devices.note_sign_in)
