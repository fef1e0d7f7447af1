"""One Django process that makes the panel's database ready: `prepare_panel DEMO_JSON ENROLMENTS_AS_JSON`."""

import json
import sys

import django
from django.core.management import call_command


def main(demo_json: str, enrolments: str) -> None:
    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    call_command("createcachetable", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    for enrolment in json.loads(enrolments):
        call_command("server_enrol", *enrolment)
    call_command("load_demo", "--credentials", demo_json)


if __name__ == "__main__":
    main(*sys.argv[1:])
