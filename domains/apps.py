from django.apps import AppConfig


class DomainsConfig(AppConfig):
    name = "domains"
    verbose_name = "Domains and mail servers"

    def ready(self) -> None:
        from billing import fitting, known_domains
        from billing.entitlements import Feature
        from domains import dns_mail, hears, incident_mail, personal_data, plan_room, quota_mail  # noqa: F401  signals, notices and registry of accounts
        from domains.models import holder_of

        known_domains.register(holder_of)
        fitting.count_by(Feature.MAILBOXES, "mailboxes", plan_room.mailboxes_of)
        fitting.count_by(Feature.DOMAINS, "domains", plan_room.domains_of)
