from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Orders and money"

    def ready(self) -> None:
        # They register checks, signals, notices, and what is held of a person.
        from billing import (  # noqa: F401
            checks,
            drafts,
            emails,
            goodwill_emails,
            personal_data,
            plan_emails,
            renewal_emails,
        )
