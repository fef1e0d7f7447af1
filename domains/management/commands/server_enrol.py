from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from domains.driver.hints import hint
from domains.enrolment import enrol
from domains.models.server import standard_ports


class Command(BaseCommand):
    help = "Enrols a mail server, or corrects what is known of one. The same again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="host name, for example mx1.example.com")
        parser.add_argument("--address", required=True, help="IP address of that name")
        parser.add_argument("--agent-url", required=True, help="for example https://192.0.2.1:8400")
        parser.add_argument(
            "--certificate-sha256", required=True, help="of the agent's certificate: 64 hex digits"
        )
        parser.add_argument("--key-file", required=True, help="file that holds the agent's bearer key")
        parser.add_argument(
            "--port",
            action="append",
            default=[],
            metavar="NAME=NUMBER",
            dest="ports",
            help=f"a port that is not the standard one; names: {', '.join(standard_ports())}",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            server, changed = enrol(
                name=options["name"],
                address=options["address"],
                agent_url=options["agent_url"],
                certificate_sha256=options["certificate_sha256"],
                ports=_ports(options["ports"]),
                agent_key=Path(options["key_file"]).read_text().strip(),
            )
        except OSError as error:
            raise CommandError(f"The key file cannot be read: {error}") from error
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        hint(server.pk)
        self.stdout.write(
            f"{server.name} is {'enrolled' if changed else 'enrolled already; nothing changed'}."
        )


def _ports(given: list[str]) -> dict[str, int]:
    ports = standard_ports()
    for text in given:
        name, _, number = text.partition("=")
        if name not in ports or not number.isdigit() or not 0 < int(number) < 65536:
            raise CommandError(f"{text!r} is not NAME=NUMBER with one of the names {', '.join(ports)}.")
        ports[name] = int(number)
    return ports
