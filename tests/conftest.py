"""The cast of every test: alice owns acme, bob reads it, mallory is another customer, sam is staff."""

import gc
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.test import Client
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from accounts.audit_words import ACTS
from accounts.models import AuditEntry, Customer, Role, User
from tests.faults import Dice, new_dice
from tests.program import Program

PASSWORD = "plenty-of-entropy-7391"
NEVER_EMPTIED = {
    "accounts_auditentry": "accounts_audit_never_emptied",
    "billing_ledgerentry": "billing_ledger_never_emptied",
    "billing_invoice": "billing_invoice_never_emptied",
}
# An example takes as long as it takes: other tests have the processors too.
hypothesis_settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("busy")
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def pytest_collection_finish() -> None:
    """What is loaded by now stays: looking through it for rubbish again and again takes a fifth of the suite's time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """The database begins as a copy of one that is migrated already, where the stack says which."""
    connection.settings_dict["TEST"]["TEMPLATE"] = os.environ.get("MXPANEL_MIGRATED")


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_blocker: Any, request: pytest.FixtureRequest
) -> Iterator[None]:
    """Between tests all tables are emptied, which the database refuses of the audit trail, invoices and the ledger
    (test_audit and test_ledger prove it). A database that is used again gets back at the end what migrations wrote,
    where a test has asked to have it kept.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table, trigger in NEVER_EMPTIED.items():
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {trigger}")
        keep_rows(cursor)
    connection.creation.deserialize_db_from_string = put_rows_back  # type: ignore[method-assign]
    yield
    kept = getattr(connection, "_test_serialized_contents", "")
    if kept and request.config.getoption("reuse_db"):
        with django_db_blocker.unblock():
            connection.creation.deserialize_db_from_string(kept)


def keep_rows(cursor: Any) -> None:
    """Copy what migrations wrote, for `put_rows_back`."""
    cursor.execute("DROP SCHEMA IF EXISTS kept CASCADE")
    cursor.execute("CREATE SCHEMA kept")
    for table in connection.introspection.django_table_names(only_existing=True, include_views=False):
        cursor.execute(f"SELECT EXISTS (SELECT FROM {table})")  # noqa: S608 (names of our tables)
        if cursor.fetchone()[0]:
            cursor.execute(f"CREATE TABLE kept.{table} AS TABLE {table}")


def put_rows_back(serialized: str) -> None:
    """What Django does row by row, from its own copy in Python, where a test asks for `serialized_rollback`."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'kept'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"INSERT INTO {table} TABLE kept.{table} ON CONFLICT DO NOTHING")


@receiver(post_save, sender=AuditEntry)
def every_action_is_declared(instance: AuditEntry, **kwargs: Any) -> None:
    """In whatever test it is written; `thing.` are those of tests."""
    if instance.action not in ACTS and not instance.action.startswith("thing."):
        raise LookupError(
            f"Declare {instance.action!r} in accounts/audit_words.py: in words, and whom it is shown."
        )


@pytest.fixture
def rng() -> Dice:
    """Chance of a fault test."""
    return new_dice()


@pytest.fixture(autouse=True)
def plain_static_files(settings: Any) -> None:
    """Pages name static files without hashes, so that tests need no collected copy of them."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture(autouse=True)
def cheap_hashes(settings: Any) -> None:
    """Passwords of people are hashed cheaply here; test_sign_up proves that the real ones are argon2id."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *settings.PASSWORD_HASHERS]


@pytest.fixture(autouse=True)
def no_stripe(settings: Any) -> None:
    """Whatever the environment says: who wants Stripe says so, and has one that knows what the test does."""
    settings.STRIPE_SECRET_KEY = ""


@pytest.fixture
def person(db: None) -> Callable[..., User]:
    def make(email: str, **fields: Any) -> User:
        user = User.objects.create_user(email, PASSWORD, **fields)
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
        return user

    return make


@pytest.fixture
def alice(person: Callable[..., User]) -> User:
    return person("alice@example.test", name="Alice Acme")


@pytest.fixture
def bob(person: Callable[..., User]) -> User:
    return person("bob@example.test", name="Bob Reader")


@pytest.fixture
def carol(person: Callable[..., User]) -> User:
    return person("carol@example.test", name="Carol Billing")


@pytest.fixture
def dave(person: Callable[..., User]) -> User:
    return person("dave@example.test", name="Dave Admin")


@pytest.fixture
def mallory(person: Callable[..., User]) -> User:
    return person("mallory@example.test", name="Mallory Other")


@pytest.fixture
def sam(person: Callable[..., User]) -> User:
    user = person("sam@example.test", name="Sam Staff", is_staff=True, is_superuser=True)
    TOTP.activate(user, TOTP_SECRET)
    return user


@pytest.fixture
def staff_of(person: Callable[..., User]) -> Callable[[str], User]:
    """Make a member of staff with one role."""

    def make(role: str) -> User:
        user = person(f"{role}@staff.test", name=f"Some {role.capitalize()}", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        TOTP.activate(user, TOTP_SECRET)
        return user

    return make


@pytest.fixture
def acme(alice: User, bob: User, carol: User, dave: User) -> Customer:
    """An active customer: alice owns it, dave is its admin, carol does its billing, bob reads it."""
    customer = Customer.objects.create(username="acme", name="Acme Ltd")
    customer.memberships.create(user=alice, role=Role.OWNER)
    customer.memberships.create(user=bob, role=Role.READER)
    customer.memberships.create(user=carol, role=Role.BILLING)
    customer.memberships.create(user=dave, role=Role.ADMIN)
    customer.activate(by=None)
    return customer


@pytest.fixture
def other(mallory: User) -> Customer:
    """Mallory's customer."""
    customer = Customer.objects.create(username="other", name="Other Inc")
    customer.memberships.create(user=mallory, role=Role.OWNER)
    customer.activate(by=None)
    return customer


@pytest.fixture
def as_(db: None) -> Callable[[User], Client]:
    """A client that is signed in as somebody; staff with the second factor, just now."""

    def sign_in(user: User) -> Client:
        client = Client()
        client.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
        session = client.session
        records = [{"method": "password", "at": time.time(), "email": user.email}]
        if Authenticator.objects.filter(user=user).exists():
            records.append({"method": "mfa", "type": "totp", "at": time.time()})
        session["account_authentication_methods"] = records
        session["account_authentication_methods_user"] = str(user.pk)
        session.save()
        return client

    return sign_in


@pytest.fixture
def program(acme: Customer, alice: User) -> Program:
    """A program with everything that alice may do for acme, and more calls a minute than a test makes."""
    return Program(acme, alice)


@pytest.fixture(autouse=True)
def many_calls(settings: Any) -> None:
    settings.API_READS = settings.API_WRITES = 10_000
