"""A large mail server's customers, domains and mailboxes, written by the database itself."""

from django.db import connection
from django.utils import timezone

from accounts.models import Customer, User
from billing.models import Order, Plan
from billing.signals import service_started
from domains.dkim import new_pair
from domains.models import Domain, MailServer, add_domain
from foundation.encryption import encrypt
from foundation.unit_of_work import unit_of_work
from tests.bench.changes_rate import READY_HASH

MAILBOXES_EACH = 20
DOMAINS_EACH = 5  # of a customer
ROWS_A_REVISION = 1_000

_FILL = """
INSERT INTO accounts_customer (id, username, name, created_at, activated_at)
SELECT gen_random_uuid(), %(prefix)s || to_hex(n), 'A customer', now(), now()
FROM generate_series(1, %(customers)s) AS n;

INSERT INTO domains_placement (customer_id, server_id, wished_at, placed_at, contact, contact_due_at)
SELECT id, %(server)s, now(), now(), '', now() FROM accounts_customer WHERE starts_with(username, %(prefix)s);

INSERT INTO domains_domain (id, name, created_at, customer_id)
SELECT gen_random_uuid(), 'd' || n || '.' || customer.username || '.many.test', now(), customer.id
FROM accounts_customer AS customer, generate_series(1, %(domains_each)s) AS n
WHERE starts_with(customer.username, %(prefix)s);

INSERT INTO domains_dkimkey (id, selector, private_key, public_key, created_at, domain_id)
SELECT gen_random_uuid(), 'mx', %(private_key)s, %(public_key)s, now(), domain.id
FROM domains_domain AS domain JOIN domains_placement AS placement USING (customer_id)
WHERE placement.server_id = %(server)s AND domain.name LIKE '%%.many.test';

INSERT INTO domains_mailbox
    (id, local_part, name, quota_mb, password_hash, used_bytes, created_at, domain_id, sent_in_hour, sent_in_day)
SELECT gen_random_uuid(), 'box-' || n, 'A person', 1024, %(hash)s, 0, now(), domain.id, 0, 0
FROM domains_domain AS domain JOIN domains_placement AS placement USING (customer_id),
     generate_series(1, %(mailboxes_each)s) AS n
WHERE placement.server_id = %(server)s AND domain.name LIKE '%%.many.test';

WITH here AS (
    SELECT customer_id FROM domains_placement WHERE server_id = %(server)s
), domains AS (
    SELECT domain.* FROM domains_domain AS domain JOIN here USING (customer_id)
    WHERE domain.name LIKE '%%.many.test'
), wanted (kind, key) AS (
    SELECT 'customer', customer_id FROM here JOIN accounts_customer AS customer ON customer.id = customer_id
    WHERE starts_with(customer.username, %(prefix)s)
    UNION ALL SELECT 'domain', id FROM domains
    UNION ALL SELECT 'dkim', key.id FROM domains_dkimkey AS key JOIN domains ON domains.id = key.domain_id
    UNION ALL SELECT 'mailbox', box.id FROM domains_mailbox AS box JOIN domains ON domains.id = box.domain_id
), counter AS (
    SELECT revision FROM domains_mailserver WHERE id = %(server)s
)
INSERT INTO domains_serverrow (server_id, kind, key, revision, gone, changed_at)
SELECT %(server)s, kind, key, counter.revision + 1 + (row_number() OVER () - 1) / %(rows_a_revision)s, false, now()
FROM wanted, counter;

UPDATE domains_mailserver SET revision = (SELECT max(revision) FROM domains_serverrow WHERE server_id = %(server)s)
WHERE id = %(server)s;
"""


def fill(server: MailServer, domains: int, *, prefix: str = "m") -> int:
    """Place so many domains with MAILBOXES_EACH mailboxes each on the server, with one DKIM key for all, as the
    index of rows wants it; how many rows that are. The customers' names begin with `prefix`.
    """
    pair = new_pair()
    facts = {
        "server": server.pk, "prefix": prefix, "customers": domains // DOMAINS_EACH, "hash": READY_HASH,
        "domains_each": DOMAINS_EACH, "mailboxes_each": MAILBOXES_EACH, "rows_a_revision": ROWS_A_REVISION,
        "private_key": encrypt(pair.private_pem), "public_key": pair.public_base64,
    }  # fmt: skip
    with connection.cursor() as cursor:
        for statement in _FILL.split(";\n\n"):
            cursor.execute(statement, facts)
        cursor.execute("ANALYZE")
    server.refresh_from_db()
    return server.rows.filter(gone=False).count()


def a_domain(server: MailServer) -> Domain:
    """One of the domains of `fill`, to change something in."""
    here = Domain.objects.filter(customer__placement__server=server, name__endswith=".many.test")
    domain = here.earliest("name")
    subscribe(domain.customer)
    return domain


def empty_customer(server: MailServer, username: str) -> Domain:
    """A customer on the server with one domain and nothing in it."""
    customer = Customer.objects.create(username=username, name="A customer", activated_at=timezone.now())
    server.placements.create(customer=customer, placed_at=timezone.now())
    subscribe(customer)
    return add_domain(customer, f"{username}.one.test", by=None)


def subscribe(customer: Customer) -> None:
    """Give the customer a plan without limits."""
    person = User.objects.create_user(
        f"{customer.username}@people.test", "a password of this benchmark alone"
    )
    sold = {"period": "yearly", "amount_minor": 100, "currency": "USD"}
    plan = Plan.objects.create(
        slug=f"plan-{customer.username}".replace("_", "-"),
        name="A plan",
        currency="USD",
        yearly_minor=100,
        storage_mb=2**30,
    )
    order = Order.objects.create(
        customer=customer, placed_by=person, plan=plan, **sold, name="A person", email=person.email,
        street="1 Road", city="Leeds", postcode="LS1", country="GB", phone="+44 113 496 0000",
        terms_accepted_at=timezone.now(),
    )  # fmt: skip
    with unit_of_work():
        customer.subscriptions.create(order=order, plan=plan, **sold)
        service_started.send(Customer, customer=customer)
