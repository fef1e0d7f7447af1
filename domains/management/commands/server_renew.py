from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from domains.driver.agent import AgentError
from domains.models import MailServer
from domains.renewal import RenewalError, renew


class Command(BaseCommand):
    help = (
        "Renews the bearer key and the certificate of a mail server's agent, while everything goes on. "
        "Cut off anywhere, the same command completes it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="host name of the mail server, as it is enrolled")

    def handle(self, *args: Any, **options: Any) -> None:
        server = MailServer.objects.select_related("sync").filter(name=options["name"]).first()
        if server is None:
            raise CommandError(f"No mail server {options['name']} is enrolled.")
        try:
            renew(server, by=None)
        except (AgentError, RenewalError) as error:
            raise CommandError(f"{error} Run the same command again to complete the renewal.") from error
        self.stdout.write(f"{server} has another key, and another certificate: {server.certificate_sha256}.")
