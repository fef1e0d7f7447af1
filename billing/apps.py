from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Orders and money"

    def ready(self) -> None:
        from billing import drafts, emails, personal_data  # noqa: F401  they register signals, notices, and what is held of a person
