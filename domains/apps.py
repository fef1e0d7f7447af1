from django.apps import AppConfig


class DomainsConfig(AppConfig):
    name = "domains"
    verbose_name = "Domains and mail servers"

    def ready(self) -> None:
        from billing import known_domains
        from domains import dns_mail, hears, incident_mail, personal_data, quota_mail  # noqa: F401  signals, notices and registry of accounts
        from domains.models import holder_of

        known_domains.register(holder_of)
