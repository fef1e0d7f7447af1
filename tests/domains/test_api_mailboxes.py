from datetime import timedelta

import pytest
from argon2 import PasswordHasher
from django.utils import timezone

from accounts.models import AuditEntry
from billing.entitlements import report_usage
from domains.models import Mailbox, ServerRow
from tests.domains.conftest import HASH, PASSWORD
from tests.plans import sell_as
from tests.program import Program, data, error

URL = "domains/acme.test/email-accounts"
BEN = {"username": "Ben.Bell", "password": PASSWORD, "quota": 512}


class TestAdd:
    def test_works(self, program, alice, domain, mx1):
        made = data(program.post(URL, BEN), 201)

        assert made == {
            "username": "ben.bell", "email": "ben.bell@acme.test", "name": "", "quota": 512, "usage": 0, "limit": 9600,
            "sent": 0, "suspended": False,
        }  # fmt: skip
        mailbox = domain.mailboxes.get()
        assert PasswordHasher().verify(mailbox.password_hash.removeprefix("{ARGON2ID}"), PASSWORD)
        assert ServerRow.objects.filter(server=mx1, kind="mailbox", key=mailbox.pk).exists()
        entry = AuditEntry.objects.get(action="mailbox.add")
        assert (entry.by, entry.after["api_key"]) == (alice, program.api_key.prefix)
        assert data(program.get(f"{URL}/ben.bell")) == data(program.get(f"{URL}/BEN.BELL@acme.test")) == made

    def test_the_quota_is_1024_without_one(self, program, domain):
        assert data(program.post(URL, {"username": "ben", "password": PASSWORD}), 201)["quota"] == 1024

    def test_with_a_ready_hash(self, program, domain):
        data(program.post(URL, {"username": "ben", "password_hash": HASH}), 201)
        assert domain.mailboxes.get().password_hash == HASH

    def test_with_an_invitation(self, program, domain):
        data(program.post(URL, {"username": "ben", "invite": "ben@home.example"}), 201)
        found = data(program.get(f"{URL}/ben/invitation"))
        assert found["email"] == "ben@home.example"
        assert program.delete(f"{URL}/ben/invitation").status_code == 204
        error(program.get(f"{URL}/ben/invitation"), 404, "NOT_FOUND")
        assert (
            data(program.post(f"{URL}/ben/invitation", {"email": "b@home.example"}), 201)["email"]
            == "b@home.example"
        )
        assert (
            error(program.post(f"{URL}/ben/invitation", {"email": "ben@acme.test"}), 400, "VALIDATION_ERROR")[
                "field"
            ]
            == "email"
        )

    def test_twice(self, program, anna):
        assert error(program.post(URL, BEN | {"username": "ANNA"}), 409, "CONFLICT")["field"] == "username"

    def test_over_the_plan(self, program, anna):
        sell_as(anna.customer, mailboxes=1)
        error(program.post(URL, BEN), 422, "BUSINESS_ERROR")

    def test_more_than_the_plan_stores(self, program, domain):
        assert error(program.post(URL, BEN | {"quota": 10_241}), 422, "BUSINESS_ERROR")["field"] == "quota"

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("username", ""), ("username", "a+b"), ("username", "../x"), ("username", "x\r\ny"), ("username", "x" * 65),
            ("username", "-x"), ("username", "ä"), ("username", None), ("password", "short"), ("password", "password"),
            ("password", "x" * 129), ("password", ""), ("password", None), ("quota", -1), ("quota", 2**40),
            ("quota", "x"), ("quota", None),
            ("quota", True), ("name", "a\nb"), ("name", "x" * 121), ("password_hash", HASH), ("limit_", 1),
        ],
    )  # fmt: skip
    def test_wrong_values(self, program, domain, field, value):
        error(program.post(URL, BEN | {field: value}), 400, "VALIDATION_ERROR")
        assert not Mailbox.objects.exists()

    def test_few_queries(self, program, domain, django_assert_max_num_queries):
        with django_assert_max_num_queries(15):
            data(program.post(URL, BEN), 201)

    def test_a_reader_may_not(self, acme, bob, anna):
        program = Program(acme, bob)
        error(program.post(URL, BEN), 403, "FORBIDDEN")
        error(program.patch(f"{URL}/anna", {"suspended": True}), 403, "FORBIDDEN")
        error(program.delete(f"{URL}/anna"), 403, "FORBIDDEN")
        assert data(program.get(f"{URL}/anna"))["username"] == "anna"


class TestChange:
    def test_works(self, program, anna):
        changed = data(program.patch(f"{URL}/anna", {"quota": 99, "suspended": True, "password": PASSWORD}))
        assert (changed["quota"], changed["suspended"], changed["name"]) == (99, True, "Anna")
        anna.refresh_from_db()
        assert PasswordHasher().verify(anna.password_hash.removeprefix("{ARGON2ID}"), PASSWORD)
        assert data(program.patch(f"{URL}/anna", {"suspended": False}))["suspended"] is False

    def test_the_send_limit(self, program, anna, sam):
        assert data(program.patch(f"{URL}/anna", {"limit": 10}))["limit"] == 10
        above = error(program.patch(f"{URL}/anna", {"limit": 9601}), 422, "BUSINESS_ERROR")
        assert above["field"] == "limit"
        Mailbox.objects.update(sent_in_day=7, sent_reported_at=timezone.now())
        anna.refresh_from_db()
        anna.limit_sends(None, by=sam)
        anna.raise_sends(20_000, until=timezone.now() + timedelta(hours=1), reason="Newsletter", by=sam)
        for found in (data(program.get(f"{URL}/anna")), data(program.get(URL))[0]):
            assert (found["limit"], found["sent"]) == (20_000, 7)
        program.patch(f"{URL}/anna", {"limit": 0})
        for found in (data(program.get(f"{URL}/anna")), data(program.get(URL))[0]):
            assert found["limit"] == 0
        assert data(program.post(URL, BEN | {"limit": 3}), 201)["limit"] == 3
        error(program.post(URL, BEN | {"username": "carl", "limit": 9601}), 422, "BUSINESS_ERROR")
        assert not Mailbox.objects.filter(local_part="carl").exists()

    def test_nothing_changes_nothing(self, program, anna):
        before = AuditEntry.objects.count()
        data(program.patch(f"{URL}/anna", {}))
        assert AuditEntry.objects.count() == before

    def test_all_or_nothing(self, program, anna):
        error(program.patch(f"{URL}/anna", {"password": PASSWORD, "quota": 10_241}), 422, "BUSINESS_ERROR")
        anna.refresh_from_db()
        assert anna.password_hash == HASH

    @pytest.mark.parametrize(
        ("field", "value"), [("password", "short"), ("quota", -1), ("username", "x"), ("suspended", "?")]
    )
    def test_wrong_values(self, program, anna, field, value):
        assert (
            error(program.patch(f"{URL}/anna", {field: value}), 400, "VALIDATION_ERROR")["field"].strip("'")
            == field
        )

    def test_what_staff_stopped_stays(self, program, anna):
        anna.suspend(reason="Spam", by=None, by_staff=True)
        assert (
            "Spam"
            in error(program.patch(f"{URL}/anna", {"suspended": False}), 422, "BUSINESS_ERROR")["message"]
        )
        error(program.delete(f"{URL}/anna"), 422, "BUSINESS_ERROR")

    def test_an_own_suspension_keeps_its_reason(self, program, anna):
        anna.suspend(reason="Holiday", stops=["send"], by=None)
        data(program.patch(f"{URL}/anna", {"suspended": True}))
        assert (anna.suspension.reason, anna.suspension.stops) == ("Holiday", ["send"])


class TestDelete:
    def test_works_and_is_taken_back(self, program, anna):
        answer = program.delete(f"{URL}/anna")
        assert (answer.status_code, answer.content) == (204, b"")
        error(program.get(f"{URL}/anna"), 404, "NOT_FOUND")
        assert data(program.post(f"{URL}/anna/restore"))["username"] == "anna"

    def test_the_address_was_made_again(self, program, anna, domain):
        anna.delete(by=None)
        domain.add_mailbox("anna", password_hash=HASH, by=None)
        error(program.post(f"{URL}/anna/restore"), 409, "CONFLICT")


class TestLists:
    def test_rows(self, program, anna, domain, django_assert_num_queries):
        domain.add_mailbox("ben", password_hash=HASH, by=None).suspend(reason="x", by=None)
        with django_assert_num_queries(6):
            rows = data(program.get(URL))
        assert [(row["username"], row["suspended"]) for row in rows] == [("anna", False), ("ben", True)]

    def test_quota(self, program, anna):
        at = timezone.now()
        report_usage(program.api_key.customer, 2**30, at)
        answer = data(program.get("quota"))
        assert (answer["username"], answer["total_used"], answer["total_limit"]) == (
            "acme",
            2**30,
            10 * 2**30,
        )
        assert answer["percent_used"] == 10.0
        assert answer["breakdown"] == {"email": 2**30, "web": 0, "databases": 0, "backups": 0, "other": 0}
        Mailbox.objects.filter(pk=anna.pk).update(used_bytes=7)
        sizes = data(program.get("quota/email"))
        assert sizes["username"] == "acme"
        assert [(each["email_address"], each["size_bytes"]) for each in sizes["accounts"]] == [
            ("anna@acme.test", 7)
        ]

    def test_a_list_that_is_too_long_says_so(self, program, served, domain, monkeypatch):
        """At the most that an answer holds it is whole."""
        for number in range(2):
            domain.mailboxes.create(local_part=f"m{number}", password_hash=HASH)
        served.domains.create(name="z.test")
        lists = {"domains": len, URL: len, "quota/email": lambda found: len(found["accounts"])}
        for most, sign in ((2, False), (1, True)):
            monkeypatch.setattr("foundation.api.MOST_ROWS", most)
            for path, rows in lists.items():
                answer = program.get(path)
                assert rows(data(answer)) == most
                assert answer.headers.get("X-Truncated") == ("true" if sign else None)


class TestImports:
    CSV = f"username,password\nben,{PASSWORD}\nbad name,{PASSWORD}\n"

    def send(self, program, text=CSV):
        return program.post("domains/acme.test/imports", text, content_type="text/csv")

    def test_works(self, program, domain):
        made = data(self.send(program), 202)
        assert (made["status"], made["new"], made["refused"], made["faults"][0]["line"]) == ("ready", 1, 1, 3)
        path = f"domains/acme.test/imports/{made['id']}"
        assert data(program.get(path)) == made
        assert data(program.post(f"{path}/confirm"), 202)["status"] == "importing"
        from domains.mailbox_csv.applying import work

        while work(made["id"]):
            pass
        assert data(program.get(path))["status"] == "done"
        assert data(program.get(URL))[0]["username"] == "ben"

    def test_discard(self, program, domain):
        made = data(self.send(program), 202)
        path = f"domains/acme.test/imports/{made['id']}"
        assert program.delete(path).status_code == 204
        error(program.get(path), 404, "NOT_FOUND")

    @pytest.mark.parametrize("text", ["", "\0", "nothing here\n1\n"])
    def test_wrong_files(self, program, domain, text):
        assert self.send(program, text or " ").status_code in (400, 422)

    def test_another_type(self, program, domain):
        error(program.post("domains/acme.test/imports", {}), 415, "UNSUPPORTED_MEDIA_TYPE")
