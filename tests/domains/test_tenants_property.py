"""Two tenants on one panel, whose owners and readers do at random what the API and the pages offer, also with each other's
names: no plan is exceeded, nothing of the other changes, and no answer shows anything of the other's. FAULT_SEED runs a
seed again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from argon2 import PasswordHasher
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from accounts.models import AuditEntry, Customer, Role, User
from domains.dns.ownership import Proof, Result
from domains.mailbox_csv import applying
from domains.models import (
    Domain,
    Mailbox,
    MailboxImport,
    MailboxInvitation,
    MailServer,
    OwnershipKey,
    Placement,
    ServerRow,
)  # fmt: skip
from domains.models.mailbox_suspension import MailboxSuspension
from tests.domains.conftest import HASH
from tests.faults import SOAK, kills, new_dice, report
from tests.program import Program

pytestmark = [pytest.mark.soak, pytest.mark.timeout(0 if SOAK else 300)]

DOMAINS, MAILBOXES, STORAGE_MB = 2, 3, 100
TRIED = 2  # of the other's domains and mailboxes the first so many are named; the rest are to stay unknown
NAMES = 4
CSV = "username,quota_mb,password_hash\n"


@dataclass(frozen=True)
class Act:
    """Who does it (the owner or the reader of which tenant), by which way, and to what: by number, of one's own or of
    the other's.
    """

    tenant: int
    who: str
    way: str
    foreign: bool
    domain: int
    mailbox: int


ACTS = st.builds(
    Act,
    tenant=st.integers(0, 1),
    who=st.sampled_from(["owner", "owner", "owner", "reader"]),
    way=st.sampled_from(["api", "page"]),
    foreign=st.booleans(),
    domain=st.sampled_from([0, 0, 0, 2, 2, 1, 3]),
    mailbox=st.integers(0, NAMES - 1),
)
QUOTAS = st.sampled_from([0, 50, STORAGE_MB, STORAGE_MB + 1])


class Tenant:
    def __init__(self, customer: Customer, owner: User, reader: User, as_: Any, word: str) -> None:
        self.customer = customer
        self.domains = [f"{word}-{number}.test" for number in range(NAMES)]
        self.mailboxes = [f"{word}-{number}" for number in range(NAMES)]
        people = {"owner": owner, "reader": reader}
        self.programs = {who: Program(customer, person) for who, person in people.items()}
        self.clients = {who: as_(person) for who, person in people.items()}
        self.uploads = []
        for number in (0, 2):
            domain = customer.domains.create(name=self.domains[number])
            domain.dkim_keys.create(private_key="not used", public_key="not used")
            domain.add_mailbox(
                self.mailboxes[number], quota_mb=50, name=f"Secret of {word}", password_hash=HASH, by=owner
            )
            upload = domain.mailbox_imports.create(
                new=1, changed=0, unchanged=0, refused=0, comparing=0, finished_at=timezone.now()
            )
            self.uploads.append(upload.pk)
        self.unknown = [
            owner.email, reader.email, customer.name, f"Secret of {word}", *self.domains[TRIED:],
            *self.mailboxes[TRIED:], OwnershipKey.of(customer).label,
        ]  # fmt: skip

    def rows(self) -> dict[str, list[Any]]:
        """Everything that is this tenant's, without what counts the calls of its keys."""
        domains = Domain.objects.filter(customer=self.customer)
        mailboxes = Mailbox.objects.filter(domain__customer=self.customer)
        keys = [*domains.values_list("pk", flat=True), *mailboxes.values_list("pk", flat=True)]
        queries: list[QuerySet[Any]] = [
            domains,
            mailboxes,
            MailboxSuspension.objects.filter(mailbox__domain__customer=self.customer),
            MailboxInvitation.objects.filter(mailbox__domain__customer=self.customer),
            MailboxImport.objects.filter(domain__customer=self.customer),
            AuditEntry.objects.filter(customer=self.customer),
            self.customer.memberships.all(),
            self.customer.subscriptions.all(),
            ServerRow.objects.filter(key__in=keys),
        ]
        found = {query.model.__name__: list(query.order_by("pk").values()) for query in queries}
        settled = ("pk", "person", "scopes", "networks", "expires_at", "revoked_at")
        found["ApiKey"] = list(self.customer.api_keys.order_by("pk").values(*settled))
        return found


class Tenants(RuleBasedStateMachine):
    """Each example is undone at its end."""

    tenants: tuple[Tenant, Tenant]
    answered: dict[tuple[str, int], int]

    def __init__(self) -> None:
        super().__init__()
        self.example = transaction.atomic()
        self.example._from_testcase = True  # as pytest-django's own: units of work may be durable inside
        self.example.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    @rule(act=ACTS, quota=QUOTAS)
    def add_mailbox(self, act: Act, quota: int) -> None:
        body = {"username": self.mailbox(act), "password_hash": HASH, "quota": quota}
        form = {"username": self.mailbox(act), "password": "correct horse battery 17", "quota_mb": quota}
        self.act(act, ("POST", self.api(act), body), (f"{self.page(act)}mailboxes/add/", form))

    @rule(act=ACTS, quota=QUOTAS)
    def change_quota(self, act: Act, quota: int) -> None:
        api = ("PATCH", f"{self.api(act)}/{self.mailbox(act)}", {"quota": quota})
        self.act(act, api, (f"{self.mailbox_page(act)}change/", {"name": "", "quota_mb": quota}))

    @rule(act=ACTS)
    def delete_mailbox(self, act: Act) -> None:
        api = ("DELETE", f"{self.api(act)}/{self.mailbox(act)}", None)
        self.act(act, api, (f"{self.mailbox_page(act)}delete/", {}))

    @rule(act=ACTS)
    def restore_mailbox(self, act: Act) -> None:
        api = ("POST", f"{self.api(act)}/{self.mailbox(act)}/restore", None)
        self.act(act, api, (f"{self.mailbox_page(act)}restore/", {}))

    @rule(act=ACTS)
    def suspend_mailbox(self, act: Act) -> None:
        api = ("PATCH", f"{self.api(act)}/{self.mailbox(act)}", {"suspended": True})
        self.act(act, api, (f"{self.mailbox_page(act)}suspend/", {"reason": "Holiday"}))

    @rule(act=ACTS)
    def add_domain(self, act: Act) -> None:
        name = {"domain": self.domain(act)}
        self.act(act, ("POST", "domains", name), ("domains/add/", name))

    @rule(act=ACTS)
    def delete_domain(self, act: Act) -> None:
        api = ("DELETE", f"domains/{self.domain(act)}", None)
        self.act(act, api, (f"{self.page(act)}delete/", {"confirm": self.domain(act)}))

    @rule(act=ACTS)
    def restore_domain(self, act: Act) -> None:
        api = ("POST", f"domains/{self.domain(act)}/restore", None)
        self.act(act, api, (f"{self.page(act)}restore/", {}))

    @rule(act=ACTS, lines=st.lists(st.tuples(st.integers(0, NAMES - 1), QUOTAS, st.booleans()), max_size=4))
    def import_file(self, act: Act, lines: list[tuple[int, int, bool]]) -> None:
        """Some lines name mailboxes of the other's."""
        actor, other = self.of(act)
        text = CSV
        for number, quota, foreign in lines:
            name = f"{other.mailboxes[0]}@{other.domains[0]}" if foreign else actor.mailboxes[number]
            text += f'{name},{quota},"{HASH}"\n'
        before = set(actor.customer.domains.values_list("mailbox_imports", flat=True))
        upload = {"file": SimpleUploadedFile("m.csv", text.encode())}
        self.act(
            act,
            ("POST", f"domains/{self.domain(act)}/imports", text),
            (f"{self.page(act)}imports/add/", upload),
        )
        made = MailboxImport.objects.filter(domain__customer=actor.customer).exclude(pk__in=before - {None})
        for found in made:
            self.act(act, *self.confirming(act, found.pk))
            with self.nothing_changes_of(other):
                while applying.work(found.pk):
                    pass

    @rule(act=ACTS, number=st.integers(0, 1))
    def confirm_an_import_of_the_other_s(self, act: Act, number: int) -> None:
        """Through one's own domain, too."""
        actor, other = self.of(act)
        before = actor.rows()
        status = self.act(act, *self.confirming(act, other.uploads[number]))
        assert status in (403, 404)
        assert actor.rows() == before

    @rule(act=ACTS)
    def look(self, act: Act) -> None:
        actor, other = self.of(act)
        program, client = actor.programs[act.who], actor.clients[act.who]
        for path in (
            "domains",
            "quota/email",
            "audit",
            "members",
            "orders",
            f"domains/{self.domain(act)}",
            self.api(act),
        ):
            self.shows_nothing_of(other, program.get(path))
        theirs = f"/c/{other.customer.username}/"
        assert client.get(theirs).status_code == 404
        assert client.get(f"{theirs}domains/{other.domains[0]}/").status_code == 404
        own = f"/c/{actor.customer.username}/"
        for path in (
            "",
            "domains/",
            "members/",
            "audit/",
            "keys/",
            self.page(act),
            f"{self.page(act)}mailboxes/",
        ):
            self.shows_nothing_of(other, client.get(own + path))

    # How it is done

    def act(self, act: Act, api: tuple[str, str, Any], page: tuple[str, dict[str, Any]]) -> int:
        """Do it by the way of this act; returns the status of the answer, after what it may lead to."""
        actor, other = self.of(act)
        before = actor.rows()
        with self.nothing_changes_of(other):
            if act.way == "api":
                method, path, body = api
                more = {"content_type": "text/csv"} if isinstance(body, str) else {}
                answer = actor.programs[act.who].call(method, path, body, **more)
            else:
                path, form = page
                url = f"/c/{actor.customer.username}/{path}"
                answer = actor.clients[act.who].post(url, form, follow=True)
        self.shows_nothing_of(other, answer)
        status = int(answer.status_code)
        self.answered[act.way, status] = self.answered.get((act.way, status), 0) + 1
        assert status < 500
        if act.who == "reader":
            assert status in (403, 404)
        if act.foreign:
            assert status in (403, 404, 422)
        if act.foreign or act.who == "reader":
            assert actor.rows() == before
        self.plan_holds(actor.customer)
        return status

    def confirming(self, act: Act, number: int) -> tuple[tuple[str, str, Any], tuple[str, dict[str, Any]]]:
        path = f"imports/{number}/confirm"
        return ("POST", f"domains/{self.domain(act)}/{path}", None), (f"{self.page(act)}{path}/", {})

    def of(self, act: Act) -> tuple[Tenant, Tenant]:
        """Who acts, and the other."""
        return self.tenants[act.tenant], self.tenants[1 - act.tenant]

    def domain(self, act: Act) -> str:
        actor, other = self.of(act)
        return other.domains[act.domain % TRIED] if act.foreign else actor.domains[act.domain]

    def mailbox(self, act: Act) -> str:
        actor, other = self.of(act)
        return other.mailboxes[act.mailbox % TRIED] if act.foreign else actor.mailboxes[act.mailbox]

    def api(self, act: Act) -> str:
        return f"domains/{self.domain(act)}/email-accounts"

    def page(self, act: Act) -> str:
        return f"domains/{self.domain(act)}/"

    def mailbox_page(self, act: Act) -> str:
        return f"{self.page(act)}mailboxes/{self.mailbox(act)}/"

    # What always holds

    @contextmanager
    def nothing_changes_of(self, other: Tenant) -> Iterator[None]:
        before = other.rows()
        yield
        assert other.rows() == before

    def shows_nothing_of(self, other: Tenant, answer: Any) -> None:
        text = answer.content.decode()
        assert not [name for name in other.unknown if name in text]

    def plan_holds(self, customer: Customer) -> None:
        domains = customer.domains.live()
        mailboxes = Mailbox.objects.live().filter(domain__in=domains)
        assert domains.count() <= DOMAINS
        assert mailboxes.count() <= MAILBOXES
        assert not mailboxes.filter(quota_mb__gt=STORAGE_MB).exists()


@pytest.fixture
def tenants(
    acme: Customer, alice: User, bob: User, other: Customer, mallory: User, mx1: MailServer, person: Any, as_: Any,
    subscribe: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, settings: Any,
) -> tuple[Tenant, Tenant]:  # fmt: skip
    """Each with two domains, a mailbox in each, and a plan that holds little more. Each can prove its own names."""
    monkeypatch.setattr(
        "domains.mailbox_password._hasher", PasswordHasher(1, 8, 1)
    )  # a hash in a millisecond
    settings.FORM_LIMITS = {}
    for customer in (acme, other):
        subscribe(customer, domains=DOMAINS, mailboxes=MAILBOXES, storage_mb=STORAGE_MB)
        Placement.objects.create(customer=customer, server=mx1, placed_at=timezone.now())
    rita = person("rita@example.test")
    other.memberships.create(user=rita, role=Role.READER)
    made = Tenant(acme, alice, bob, as_, "acme"), Tenant(other, mallory, rita, as_, "foreign")
    proved = {(name, OwnershipKey.of(each.customer).label) for each in made for name in each.domains}

    def prove(name: str, label: str) -> Proof:
        return Proof(Result.PROVED) if (name, label) in proved else Proof(Result.MISSING, "It is not there.")

    monkeypatch.setattr("domains.dns.ownership.prove", prove)
    return made


def test_neither_reaches_the_other(tenants: tuple[Tenant, Tenant]) -> None:
    rng = new_dice()
    examples, steps = kills(10, 400), kills(10, 30)
    answered: dict[tuple[str, int], int] = {}

    @seed(rng.seed_given)
    class Seeded(Tenants):
        pass

    Seeded.tenants, Seeded.answered = tenants, answered
    run_state_machine_as_test(
        Seeded,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
    statuses = {f"{way} {status}": count for (way, status), count in sorted(answered.items())}
    report("tenants", rng, examples=examples, steps=steps, **statuses)
