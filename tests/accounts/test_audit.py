import json
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from psycopg.sql import SQL, Identifier

from accounts import audit
from accounts.models import AuditEntry, User
from accounts.tasks import sweep_audit


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_an_entry_needs_the_transaction_of_its_change():
    with pytest.raises(RuntimeError, match="transaction"):
        audit.record("thing.change", by=None)


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_an_entry_goes_with_its_change():
    with transaction.atomic():
        audit.record("thing.change", by=None)
        transaction.set_rollback(True)
    assert not AuditEntry.objects.exists()


def test_it_says_from_where(as_, acme, alice, sam):
    client = as_(sam)
    client.post(
        "/admin/accounts/customersuspension/add/",
        {"customer": str(acme.pk), "stops": "send", "reason": "r", "until_0": "", "until_1": ""},
        REMOTE_ADDR="192.0.2.7",
    )
    entry = AuditEntry.objects.get(action="customer.suspend")
    assert (entry.address, entry.by, entry.customer) == ("192.0.2.7", sam, acme)


def test_entries_are_erased_after_two_years(acme):
    AuditEntry.objects.create(action="thing.add", customer=acme, at=timezone.now() - timedelta(days=731))
    recent = set(AuditEntry.objects.exclude(action="thing.add"))
    sweep_audit()
    assert set(AuditEntry.objects.all()) == recent


@pytest.mark.parametrize(
    "change",
    [
        {"action": "x"}, {"at": timezone.now()}, {"subject": "x"}, {"after": {"quota_mb": 2}}, {"after": None},
        {"address": "192.0.2.8"}, {"address": "192.0.3.0"}, {"by": None}, {"customer": None},
        {"subject": "erased-x@invalid.invalid", "after": None}, {"by_staff": True}, {"before": {"a": 1}},
        {"address": None}, {"address": "192.0.2.0"}, {"subject": f"erased-{'0' * 32}@invalid.invalid"},
        {"after": {"quota_mb": f"erased-{'0' * 32}@invalid.invalid"}},
    ],
)  # fmt: skip
def test_the_database_changes_no_entry(acme, alice, change):
    entry = AuditEntry.objects.create(
        action="thing.change",
        customer=acme,
        by=alice,
        subject="a",
        after={"quota_mb": 1},
        address="192.0.2.7",
    )
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        AuditEntry.objects.filter(pk=entry.pk).update(**change)


PSEUDONYM = f"erased-{'a' * 32}@invalid.invalid"
NAMED = {"to": "a@x.test", "also": ["b@x.test", "plain"], "said": 'He wrote "me@x.test"', "quota_mb": 1}


@pytest.fixture
def erased(person):
    """Somebody who was, and what they did."""
    user = person("was@example.test")
    User.objects.filter(pk=user.pk).update(email=PSEUDONYM, is_active=False)
    return user


def run(sql, *values):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.rowcount


@pytest.mark.parametrize(
    "after",
    [
        NAMED | {"to": PSEUDONYM}, NAMED | {"also": [PSEUDONYM, "plain"]}, NAMED | {"said": PSEUDONYM},
        NAMED | {"to": PSEUDONYM, "said": PSEUDONYM},
    ],
)  # fmt: skip
def test_the_database_lets_addresses_become_the_pseudonym_of_who_was_erased(acme, erased, after):
    entry = AuditEntry.objects.create(
        action="thing.add",
        customer=acme,
        by=erased,
        subject="was@example.test",
        after=NAMED,
        before=NAMED,
        address="192.0.2.7",
    )
    sql = "UPDATE accounts_auditentry SET subject = %s, after = %s, before = %s, address = NULL WHERE id = %s"
    assert run(sql, PSEUDONYM, json.dumps(after), json.dumps(after), entry.pk) == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("subject", f"erased-{'b' * 32}@invalid.invalid"),  # nobody's pseudonym
        ("subject", "alice@example.test"), ("subject", f"x {PSEUDONYM}"), ("subject", ""),
        ("after", None), ("after", {}), ("after", NAMED | {"quota_mb": 2}), ("after", NAMED | {"more": PSEUDONYM}),
        ("after", NAMED | {"to": "c@x.test"}), ("after", NAMED | {"also": ["b@x.test", PSEUDONYM]}),
        ("after", NAMED | {"also": ["b@x.test"]}), ("after", NAMED | {"to": "b@x.test", "also": ["a@x.test", "plain"]}),
        ("after", {PSEUDONYM: 1}), ("before", NAMED),
    ],
)  # fmt: skip
def test_and_lets_nothing_else_happen_on_the_way(acme, erased, column, value):
    entry = AuditEntry.objects.create(
        action="thing.add", customer=acme, by=erased, subject="was@example.test", after=NAMED
    )
    text = value if isinstance(value, str) or value is None else json.dumps(value)
    with pytest.raises(IntegrityError, match="never changed"):
        run(
            SQL("UPDATE accounts_auditentry SET {} = %s WHERE id = %s").format(Identifier(column)),
            text,
            entry.pk,
        )


def test_a_pseudonym_of_somebody_who_may_sign_in_is_none(acme, erased):
    entry = AuditEntry.objects.create(
        action="thing.add", customer=acme, by=erased, subject="was@example.test", address="192.0.2.7"
    )
    User.objects.filter(pk=erased.pk).update(is_active=True)
    with pytest.raises(IntegrityError, match="never changed"):
        run("UPDATE accounts_auditentry SET subject = %s WHERE id = %s", PSEUDONYM, entry.pk)
    with pytest.raises(IntegrityError, match="never changed"):
        run("UPDATE accounts_auditentry SET address = NULL WHERE id = %s", entry.pk)


def test_subjects_without_an_address_are_nobodys(acme, erased):
    entry = AuditEntry.objects.create(action="thing.add", customer=acme, by=erased, subject="acme.test")
    with pytest.raises(IntegrityError, match="never changed"):
        run("UPDATE accounts_auditentry SET subject = %s WHERE id = %s", PSEUDONYM, entry.pk)


def test_the_database_does_not_empty_the_table(db):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE accounts_auditentry ENABLE TRIGGER accounts_audit_never_emptied"
        )  # as it is
        for sql in ("TRUNCATE accounts_auditentry", "TRUNCATE accounts_customer CASCADE"):
            with pytest.raises(IntegrityError, match="two years"), transaction.atomic():
                cursor.execute(sql)
        transaction.set_rollback(True)


def test_old_addresses_are_found_by_an_index(db):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM accounts_auditentry WHERE at < now() AND address <> accounts_audit_shortened(address)"
        )
        assert "audit_whole_address" in str(cursor.fetchall())


def test_all_old_addresses_are_shortened_however_many(db, monkeypatch):
    monkeypatch.setattr(audit, "AT_ONCE", 2)
    at = timezone.now() - timedelta(days=91)
    for _ in range(5):
        AuditEntry.objects.create(action="thing.change", at=at, address="192.0.2.77")
    sweep_audit()
    assert set(AuditEntry.objects.values_list("address", flat=True)) == {"192.0.2.0"}


def test_a_reason_stands_with_every_entry_that_has_none(acme, sam):
    with audit.because("Asked by phone"):
        audit.record("thing.change", by=sam, customer=acme, after={"quota_mb": 1})
        audit.record("thing.stop", by=sam, customer=acme, after={"reason": "Spam"})
    audit.record("thing.end", by=sam, customer=acme)
    told = dict(AuditEntry.objects.filter(by=sam).values_list("action", "after"))
    assert told["thing.change"] == {"quota_mb": 1, "reason": "Asked by phone"}
    assert told["thing.stop"] == {"reason": "Spam"}
    assert told["thing.end"] is None


def test_the_database_deletes_no_entry_of_the_last_two_years(acme):
    entry = AuditEntry.objects.create(action="thing.add", at=timezone.now() - timedelta(days=729))
    with pytest.raises(IntegrityError, match="two years"), transaction.atomic():
        AuditEntry.objects.filter(pk=entry.pk).delete()


@pytest.mark.parametrize(
    ("address", "shortened"),
    [("192.0.2.77", "192.0.2.0"), ("2001:db8:1:2:3::4", "2001:db8:1::"), (None, None)],
)
def test_addresses_are_shortened_after_90_days(db, address, shortened):
    ages = {"old": 91, "new": 89}
    for name, days in ages.items():
        at = timezone.now() - timedelta(days=days)
        AuditEntry.objects.create(action="thing.change", subject=name, at=at, address=address)
    sweep_audit()
    assert audit.shorten_old_addresses() == 0
    addresses = dict(AuditEntry.objects.values_list("subject", "address"))
    assert addresses == {"old": shortened, "new": address}
