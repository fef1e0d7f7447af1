"""Time and queries of the list of mailboxes, in every order and narrowed in every way, in a small and in a large domain:
both must cost the same. Run by `pages` on a database of its own.
"""

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from accounts.models import Stop
from domains.models import Domain, Kind, Mailbox, MailboxSuspension, MailServer, ServerRow
from tests.bench import page_times
from tests.bench.changes_rate import READY_HASH
from tests.bench.figures import figure
from tests.bench.page_times import Page, count, in_process, timed
from tests.bench.stack import Stack

SIZES = {"ten.test": 10_000, "hundred.test": 100_000}
GB = 1 << 30
LISTS = {
    "first page": "",
    "deep page": "?after=box-05000",
    "page before": "?before=box-05000",
    "most used, deep": f"?sort=-used&after={GB // 2}~box-05000",
    "signed in last, deep among those who never did": "?sort=-sign_in&after=0~box-05000",
    "search, few found": "?q=box-04999",
    "search, none found": "?q=nobody",
    "search of two letters, none found": "?q=zz",
    "search, all found": "?q=person",
    "suspended": "?state=suspended",
    "active, most used": "?state=active&sort=-used",
    "full": "?state=full",
    "never signed in": "?state=unused",
}


def run(_: Stack) -> None:
    session = page_times.fill()[False]
    for name, mailboxes in SIZES.items():
        fill(name, mailboxes, MailServer.objects.get().pk)
    for what, query in LISTS.items():
        for name, mailboxes in SIZES.items():
            page = Page(
                what, f"/c/acme/domains/{name}/mailboxes/{query}", goal="<= 25 ms", queries_goal="<= 8"
            )
            get = in_process(page, session)
            of = f"list of {mailboxes:,} mailboxes, {what}"
            figure(f"{of}, queries", count(get)[0], "queries", n=1, goal=page.queries_goal)
            figure(f"{of}, p50", timed(get), "ms", n=page_times.REQUESTS, goal=page.goal)


def fill(name: str, mailboxes: int, server_id: int) -> None:
    """A domain of acme with as many: used evenly up to the quota, a third never signed in, one in 500 suspended."""
    now = timezone.now()
    domain = Domain.objects.create(
        name=name, customer=Domain.objects.select_related("customer").get(name="acme.test").customer
    )
    made = Mailbox.objects.bulk_create(
        (
            Mailbox(
                domain=domain,
                local_part=f"box-{number:05}",
                name=f"Person {number}",
                password_hash=READY_HASH,
                used_bytes=number * 7919 % mailboxes * (GB // mailboxes),
                last_sign_in_at=now - timedelta(seconds=number * 31 % mailboxes) if number % 3 else None,
            )
            for number in range(mailboxes)
        ),
        batch_size=1000,
    )
    ServerRow.objects.bulk_create(
        (ServerRow(server_id=server_id, kind=Kind.MAILBOX, key=box.pk, revision=1) for box in made),
        batch_size=1000,
    )
    stops = {"stops": Stop.values, "reason": "away"}
    MailboxSuspension.objects.bulk_create(MailboxSuspension(mailbox=box, **stops) for box in made[::500])
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE domains_mailbox, domains_serverrow, domains_mailboxsuspension")
