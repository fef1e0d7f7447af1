"""A process of the panel that adds domains and syncs their server until its standard input ends; a line for each."""

import os
import select
import sys

import django


def main(username: str, prefix: str) -> None:
    from accounts.models import Customer
    from domains.driver.sync import sync
    from domains.models import add_domain

    customer, number = Customer.objects.get(username=username), 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        domain = add_domain(customer, f"{prefix}-{number}.test", by=None)
        assert domain.server
        sync(domain.server.pk)
        number += 1
        sys.stdout.write(f"{domain}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mxpanel.settings")
    django.setup()
    main(*sys.argv[1:])
