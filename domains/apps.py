from django.apps import AppConfig


class DomainsConfig(AppConfig):
    name = "domains"
    verbose_name = "Domains and mail servers"

    def ready(self) -> None:
        from domains import hears, personal_data  # noqa: F401  connect to the signals and the registry of accounts
