"""Every app hands out and erases what it holds about a person."""

import json
from typing import Any

from django.contrib.admin.models import LogEntry
from django.utils import timezone

from accounts import audit, privacy
from accounts.models import AuditEntry, EmailChange, Invitation, Role, User
from foundation.unit_of_work import unit_of_work
from tests.program import Program

NOTHING = (lambda user: [], lambda user: None)  # kept, and done to erase


def handed_out(user: User) -> dict[str, Any]:
    """What an export says, by app."""
    return {name: json.loads("".join(pieces)) for name, pieces in privacy.export_person(user)}


def test_every_app_with_data_is_registered(db):
    assert set(privacy._holders) == {"accounts", "billing", "domains"}


def test_an_export_is_json_and_only_of_that_person(acme, other, alice, mallory):
    text = json.dumps(handed_out(alice))
    assert "alice@example.test" in text
    assert "acme" in text
    assert "mallory" not in text


def test_the_audit_trail_keeps_a_pseudonym_alone(acme, other, mallory):
    with unit_of_work():
        acme.add_member(mallory, Role.READER, by=mallory)
        AuditEntry.objects.create(action="thing.change", by=mallory, address="192.0.2.7")
        privacy.erase_person(mallory)
    entry = AuditEntry.objects.get(action="member.add")
    mallory.refresh_from_db()
    assert entry.subject == mallory.email
    assert "mallory" not in entry.subject
    assert not AuditEntry.objects.exclude(address=None).exists()


def test_no_address_that_was_theirs_stays_in_what_others_did(acme, other, alice, mallory, sam):
    """Not former ones either; those of other people stay."""
    acme.invite_member("before@example.test", Role.READER, by=alice)
    acme.invite_member("mallory@example.test", Role.READER, by=alice)
    change = EmailChange(user=mallory, old="before@example.test", new=mallory.email, done_at=timezone.now())
    change.old_confirmed_at = change.new_confirmed_at = timezone.now()
    change.save()
    wished = EmailChange.objects.create(user=mallory, old=mallory.email, new="bob@example.test")
    with unit_of_work():
        audit.record(
            "email.change", by=mallory, subject="earliest@example.test", after={"new": "Before@example.test"}
        )
        audit.record("email.ask_change", by=mallory, subject=mallory.email, after={"new": wished.new})
        audit.record("thing.add", by=alice, customer=acme, subject="earliest@example.test")
        audit.record(
            "thing.add", by=alice, customer=acme, subject="bob@example.test", after={"to": "bob@example.test"}
        )
        audit.record(
            "thing.add", by=alice, customer=acme, subject="x",
            before={"list": ["mallory@example.test", "bob@example.test"]},
            after={"said": 'to "before@example.test" of \\ them', "n": 1, "call": "From before@example.test."},
        )  # fmt: skip
        privacy.erase_person(mallory)
    mallory.refresh_from_db()
    for address in ("mallory@example.test", "before@example.test", "earliest@example.test"):
        texts = [
            str(row).lower()
            for model in (AuditEntry, Invitation, EmailChange, User)
            for row in model.objects.values()
        ]
        assert not [text for text in texts if address in text], address
    assert AuditEntry.objects.filter(
        by=alice, subject="bob@example.test", after={"to": "bob@example.test"}
    ).exists()
    listed = AuditEntry.objects.get(subject="x")
    assert listed.before == {"list": [mallory.email, "bob@example.test"]}
    assert listed.after == {"said": mallory.email, "n": 1, "call": mallory.email}
    asked = AuditEntry.objects.get(action="email.ask_change")
    assert (asked.subject, asked.after) == (mallory.email, {"new": mallory.email})


def test_the_log_of_the_staff_pages_names_them_no_more(as_, mallory, sam):
    form = {"name": "Mal", "is_active": "on", "reason": "Asked for it"}
    assert as_(sam).post(f"/admin/accounts/user/{mallory.pk}/change/", form).status_code == 302
    assert LogEntry.objects.filter(object_repr="mallory@example.test").exists()
    with unit_of_work():
        privacy.erase_person(mallory)
    assert not LogEntry.objects.filter(object_repr__contains="mallory").exists()


def test_erasing_takes_the_second_factor_along(sam):
    with unit_of_work():
        privacy.erase_person(sam)
    assert not sam.authenticator_set.exists()


def test_devices_are_handed_out_and_erased(as_, alice):
    client = as_(alice)
    (device,) = handed_out(alice)["accounts"]["devices"]
    assert device["address"] == "127.0.0.1"
    with unit_of_work():
        privacy.erase_person(alice)
    assert handed_out(alice)["accounts"]["devices"] == []
    assert client.get("/accounts/home/").status_code == 302


def test_keys_and_their_calls_are_handed_out_without_the_secret_and_erased(acme, alice, dave):
    program, other = Program(acme, alice, ["members:read"]), Program(acme, dave)
    program.get("members?cursor=x")
    other.get("domains")
    program.api_key.revoke(by=alice)

    handed = handed_out(alice)["accounts"]
    (key,), (call,) = handed["api_keys"], handed["calls_of_api_keys"]
    assert (key["begins"], key["rights"]) == (program.api_key.prefix, ["members:read"])
    assert key["revoked"]
    assert key["last_used"] > key["made"]
    assert key["last_used_from"] == "127.0.0.1"
    assert (call["key_begins"], call["method"], call["path"]) == (key["begins"], "GET", "/api/members")
    assert (call["status"], call["address"]) == (400, "127.0.0.1")
    text = json.dumps(handed)
    for secret in (program.key, program.api_key.secret_hash, other.api_key.prefix):
        assert secret not in text
    with unit_of_work():
        privacy.erase_person(alice)
    handed = handed_out(alice)["accounts"]
    assert handed["api_keys"] == handed["calls_of_api_keys"] == []


def test_erasing_leaves_nobody_to_recognise_and_nobody_to_sign_in(acme, alice):
    with unit_of_work():
        privacy.erase_person(alice)
    alice = User.objects.get(pk=alice.pk)
    assert "alice" not in alice.email
    assert not alice.is_active
    assert not alice.has_usable_password()
    assert not acme.memberships.filter(user=alice).exists()
    assert "two years" in " ".join(privacy.kept(alice))


def test_registering_again_replaces(db, monkeypatch):
    monkeypatch.setattr(privacy, "_holders", {})
    for number in (1, 2):
        privacy.register("x", privacy.Holder("X.", lambda user, n=number: {"a": n}, "", *NOTHING))
    assert handed_out(User()) == {"x": {"a": 2}}


def test_rows_are_written_one_by_one(db, monkeypatch):
    monkeypatch.setattr(privacy, "_holders", {})
    taken = []

    def rows():
        for number in range(3):
            taken.append(number)
            yield {"n": number}

    privacy.register("x", privacy.Holder("X.", lambda user: {"none": iter(()), "rows": rows()}, "", *NOTHING))
    privacy.register("y", privacy.Holder("Y.", lambda user: {}, "", *NOTHING))
    (_, pieces), (_, empty) = privacy.export_person(User())
    before = [next(pieces) for _ in range(7)]
    assert taken == [0]
    assert json.loads("".join(before) + "".join(pieces)) == {"none": [], "rows": [{"n": n} for n in range(3)]}
    assert json.loads("".join(empty)) == {}
