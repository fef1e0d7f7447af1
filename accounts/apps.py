from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = "People and customers"

    def ready(self) -> None:
        from accounts import personal_data  # noqa: F401  registers this app's exporter and eraser
