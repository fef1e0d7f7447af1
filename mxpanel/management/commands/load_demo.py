"""Load the demo data of the local stack (again, without changing what is there)."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mxpanel.demo import Demo
from mxpanel.demo_mail import deliver_demo_mail
from mxpanel.demo_records import publish_demo_records


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--credentials", type=Path, default=Path("var/demo.json"), help="where sign-ins are kept"
        )
        parser.add_argument("--mail", action="store_true", help="deliver mail to the demo mailboxes instead")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["mail"]:
            deliver_demo_mail()
        else:
            Demo(options["credentials"]).load()
            publish_demo_records()
