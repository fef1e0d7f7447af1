import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry
from domains.models import Domain, DomainClaim, OwnershipKey, Placement
from tests.domains.conftest import HASH
from tests.plans import sell_as
from tests.program import Program, data, error


@pytest.fixture
def label(served) -> str:
    return OwnershipKey.of(served).label


class TestVerificationKey:
    def test_works(self, program, label):
        answer = data(program.get("verification-key"))
        assert answer["key"] == label
        assert answer["record"] == {
            "type": "TXT", "name": f"{label}.<your-domain>", "value": "domain-verified"
        }  # fmt: skip
        assert answer["description"]


class TestAdd:
    def test_works(self, program, alice, dns, label):
        dns.publish(f"{label}.new.test", "TXT", "domain-verified")

        made = data(program.post("domains", {"domain": "New.TEST."}), 201)

        assert made == {"domain": "new.test", "ssl_enabled": True}
        assert AuditEntry.objects.get(action="domain.add").by == alice
        assert data(program.get("domains")) == ["new.test"]
        assert data(program.get("domains/NEW.test")) == {
            "domain": "new.test", "mail_hosting": True, "ssl_enabled": True, "pointers": []
        }  # fmt: skip

    def test_twice(self, program, domain, dns):
        error(program.post("domains", {"domain": "acme.test"}), 409, "CONFLICT")

    def test_not_proved_and_not_asked_are_told_apart(self, program, served, dns, settings):
        missing = error(program.post("domains", {"domain": "new.test"}), 422, "BUSINESS_ERROR")
        settings.DNS_NAMESERVERS = ["127.0.0.1@9"]
        unchecked = error(program.post("domains", {"domain": "new.test"}), 422, "BUSINESS_ERROR")
        assert missing["field"] == unchecked["field"] == "domain"
        assert missing["message"] != unchecked["message"]

    def test_the_same_call_again_once_it_is_proved(self, program, served, dns, label):
        once = {"Idempotency-Key": "k"}
        error(program.post("domains", {"domain": "new.test"}, **once), 422, "BUSINESS_ERROR")
        dns.publish(f"{label}.new.test", "TXT", "domain-verified")
        data(program.post("domains", {"domain": "new.test"}, **once), 201)

    def test_of_another_customer(self, program, other, dns, label, dkim_pair):
        other.domains.create(name="foreign.test")
        not_proved = error(program.post("domains", {"domain": "foreign.test"}), 422, "BUSINESS_ERROR")
        assert "another customer" not in not_proved["message"]
        dns.publish(f"{label}.foreign.test", "TXT", "domain-verified")
        once = {"Idempotency-Key": "add-foreign.test"}
        error(program.post("domains", {"domain": "foreign.test"}, **once), 409, "CONFLICT")
        assert DomainClaim.objects.get().claimant == program.api_key.customer

    def test_over_the_plan(self, program, domain, dns, label):
        sell_as(domain.customer, domains=1)
        dns.publish(f"{label}.new.test", "TXT", "domain-verified")
        assert (
            "1 domains"
            in error(program.post("domains", {"domain": "new.test"}), 422, "BUSINESS_ERROR")["message"]
        )

    @pytest.mark.parametrize("name", ["", "co.uk", "x", "a..test", "a" * 254, "x\r\ny.test", "-x.test", 7])
    def test_wrong_names(self, program, served, name):
        error(program.post("domains", {"domain": name}), 400, "VALIDATION_ERROR")
        assert not Domain.objects.exists()

    def test_a_reader_may_not(self, acme, bob, served):
        program = Program(acme, bob)
        error(program.post("domains", {"domain": "new.test"}), 403, "FORBIDDEN")
        assert data(program.get("domains")) == []

    def test_twice_at_once_by_one_key_is_one(self, program, dns, label):
        dns.publish(f"{label}.new.test", "TXT", "domain-verified")
        once = {"Idempotency-Key": "k"}
        first, second = (program.post("domains", {"domain": "new.test"}, **once) for _ in range(2))
        assert data(first, 201) == data(second, 201)


class TestDelete:
    def test_works_and_is_taken_back(self, program, anna, domain):
        assert program.delete("domains/acme.test").status_code == 204
        error(program.get("domains/acme.test"), 404, "NOT_FOUND")
        error(program.get("domains/acme.test/email-accounts"), 404, "NOT_FOUND")
        assert data(program.post("domains/acme.test/restore"))["domain"] == "acme.test"
        assert data(program.get("domains/acme.test/email-accounts"))[0]["username"] == "anna"

    def test_twice(self, program, domain):
        program.delete("domains/acme.test")
        error(program.delete("domains/acme.test"), 404, "NOT_FOUND")

    def test_a_name_taken_meanwhile(self, program, domain, other, dkim_pair):
        domain.delete(by=None)
        other.domains.create(name="acme.test")
        error(program.post("domains/acme.test/restore"), 409, "CONFLICT")


class TestDns:
    def test_works(self, program, domain, label):
        answer = data(program.get("domains/acme.test/dns"))
        assert answer["mx_records"][0]["priority"] == 10
        assert answer["mx_records"][0]["hostname"] == "mx1.mxpanel.test"
        assert answer["spf"]["value"].startswith("v=spf1 include:")
        assert answer["dkim"]["name"] == "k1._domainkey.acme.test"
        assert answer["verification"]["name"] == f"{label}.acme.test"

    def test_check(self, program, domain, dns):
        assert data(program.get("domains/acme.test/dns-check"))["checked_at"] is None
        dns.publish("acme.test", "MX", "10 mx1.mxpanel.test.")
        found = data(program.post("domains/acme.test/dns-check"))
        states = {record["kind"]: record["state"] for record in found["records"]}
        assert (states["mx"], states["spf"]) == ("ok", "missing")
        assert data(program.get("domains/acme.test/dns-check")) == found

    def test_check_too_often(self, program, domain, dns, monkeypatch):
        monkeypatch.setattr("domains.dns_watch.BY_DOMAIN", 1)
        program.post("domains/acme.test/dns-check")
        answer = program.post("domains/acme.test/dns-check")
        error(answer, 429, "RATE_LIMITED")
        assert int(answer["Retry-After"]) > 0


class TestOthers:
    """What is another's is answered like what never existed, whatever the method."""

    PATHS = [
        ("GET", "domains/{}"), ("DELETE", "domains/{}"), ("POST", "domains/{}/restore"), ("GET", "domains/{}/dns"),
        ("GET", "domains/{}/dns-check"), ("POST", "domains/{}/dns-check"), ("GET", "domains/{}/email-accounts"),
        ("POST", "domains/{}/email-accounts"), ("GET", "domains/{}/email-accounts/olga"),
        ("PATCH", "domains/{}/email-accounts/olga"), ("DELETE", "domains/{}/email-accounts/olga"),
        ("POST", "domains/{}/email-accounts/olga/restore"), ("GET", "domains/{}/email-accounts/olga/invitation"),
        ("POST", "domains/{}/email-accounts/olga/invitation"), ("DELETE", "domains/{}/email-accounts/olga/invitation"),
        ("POST", "domains/{}/imports"), ("GET", "domains/{}/imports/1"), ("DELETE", "domains/{}/imports/1"),
        ("POST", "domains/{}/imports/1/confirm"),
    ]  # fmt: skip

    @pytest.mark.parametrize(("method", "path"), PATHS)
    def test_nothing_is_there(self, program, served, other, method, path):
        foreign = other.domains.create(name="foreign.test")
        foreign.mailboxes.create(local_part="olga", password_hash=HASH)
        if path.endswith("restore"):
            foreign.mailboxes.create(local_part="gone", password_hash=HASH).delete(by=None)
        answers = [
            program.call(
                method,
                path.format(name),
                {} if method in ("POST", "PATCH") and "imports" not in path else None,
            )
            for name in ("foreign.test", "never.test", "<x>")
        ]
        for answer in answers:
            error(answer, 404, "NOT_FOUND")
        assert len({answer.content for answer in answers}) == 1
        foreign.refresh_from_db()
        assert foreign.deleted_at is None

    def test_a_list_holds_one_s_own(self, program, anna, other):
        other.domains.create(name="foreign.test").mailboxes.create(local_part="olga", password_hash=HASH)
        assert data(program.get("domains")) == ["acme.test"]
        assert [each["email"] for each in data(program.get("domains/acme.test/email-accounts"))] == [
            anna.address
        ]
        assert [each["email_address"] for each in data(program.get("quota/email"))["accounts"]] == [
            anna.address
        ]

    def test_through_one_s_own_domain(self, program, domain, other):
        foreign = other.domains.create(name="foreign.test")
        foreign.mailboxes.create(local_part="olga", password_hash=HASH)
        upload = foreign.mailbox_imports.create(new=1, changed=0, unchanged=0, refused=0, comparing=0)
        domain.mailboxes.create(local_part="anna", password_hash=HASH)
        for path in ("email-accounts/olga", "email-accounts/anna@foreign.test", f"imports/{upload.pk}"):
            error(program.get(f"domains/acme.test/{path}"), 404, "NOT_FOUND")
            error(program.delete(f"domains/acme.test/{path}"), 404, "NOT_FOUND")

    def test_no_right(self, acme, alice, anna):
        none = Program(acme, alice, ["orders:read"])
        for method, path in self.PATHS:
            error(none.call(method, path.format("acme.test")), 403, "FORBIDDEN")


def test_a_server_that_is_only_wished_is_not_yet_one_s_own(program, acme, mx1):
    placement = Placement.objects.create(customer=acme, server=mx1)
    headers = {"X-API-Key": program.key, "X-Username": "acme", "X-Server": mx1.name}
    error(Client().get("/api/domains", headers=headers), 401, "UNAUTHORIZED")
    Placement.objects.filter(pk=placement.pk).update(placed_at=timezone.now())
    assert data(Client().get("/api/domains", headers=headers)) == []
    for wrong in ({"X-Username": "other"}, {"X-Server": "mx2.mxpanel.test"}):
        error(Client().get("/api/domains", headers={**headers, **wrong}), 401, "UNAUTHORIZED")
