"""DNS is looked at again and again; people are told once when it stops being right, and once when it is again."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from accounts import notices
from domains import dns_watch
from domains.models import DnsAlert, DnsCheck, Domain, OwnershipKey
from domains.tasks import check_domain, sweep_dns
from tests.domains.conftest import BASE, HASH
from tests.domains.test_domain_check import publish_all


@pytest.fixture
def looks(domain, dns):
    """Look once, and give the subjects of the mails that went out."""

    def look() -> list[str]:
        mail.outbox.clear()
        check_domain(str(domain.pk))
        for notice_id in notices.unsent():
            notices.deliver(notice_id)
        return [message.subject for message in mail.outbox]

    publish_all(dns, domain)
    dns.publish(f"{OwnershipKey.of(domain.customer).label}.acme.test", "TXT", "domain-verified")
    return look


def check() -> DnsCheck:
    return DnsCheck.objects.get()


def test_told_once_and_once_when_it_is_well_again(looks, domain, dns, as_, alice):
    assert [looks() for _ in range(3)] == [[], [], []]
    assert check().pending_since is None
    dns.publish("acme.test", "TXT", "v=spf1 mx -all")
    assert looks() == [], "one look proves nothing"
    assert looks() == ["DNS of acme.test needs you"]
    text = mail.outbox[0].body
    assert "Allowed senders (SPF): different. Our servers are not in it" in text
    assert f"{BASE}acme.test/" in text
    assert "alice@example.test" in mail.outbox[0].to
    assert "bob@example.test" not in mail.outbox[0].to, "a reader can change nothing"
    assert [looks() for _ in range(2)] == [[], []]
    assert "was right and is so no more" in as_(alice).get(f"{BASE}acme.test/").content.decode()
    publish_all(dns, domain)
    assert [looks() for _ in range(3)] == [[], ["DNS of acme.test is well again"], []]
    assert check().told == []


def test_name_servers_that_contradict_each_other_cause_few_mails(looks, domain, dns):
    """What is too much for a day is told when there is room."""
    looks()
    sent = []
    for _ in range(dns_watch.ALERTS_A_DAY):
        dns.publish("acme.test", "TXT", "v=spf1 mx -all")
        sent += [*looks(), *looks()]
        publish_all(dns, domain)
        sent += [*looks(), *looks()]
    assert len(sent) == dns_watch.ALERTS_A_DAY
    dns.publish("acme.test", "TXT", "v=spf1 mx -all")
    assert [looks(), looks()] == [[], []]
    DnsAlert.objects.update(at=timezone.now() - timedelta(days=1))
    assert looks() == ["DNS of acme.test needs you"]


def test_two_changes_are_two_mails_and_one_end(looks, domain, dns):
    looks()
    dns.publish("acme.test", "TXT", "v=spf1 mx -all")
    looks()
    looks()
    dns.publish("acme.test", "MX", "10 elsewhere.test.")
    assert [looks() for _ in range(3)] == [[], ["DNS of acme.test needs you"], []]
    dns.publish("acme.test", "MX", "10 mx1.mxpanel.test.")
    assert [looks() for _ in range(2)] == [[], []], "one of two is still wrong"
    publish_all(dns, domain)
    assert [looks() for _ in range(3)] == [[], ["DNS of acme.test is well again"], []]


def test_servers_that_are_away_alarm_nobody_and_turn_nothing_off(looks, domain, dns, settings, as_, alice):
    looks()
    known = check().found["mx"]["found"]
    settings.DNS_NAMESERVERS = ["127.0.0.1@9"]
    assert [looks() for _ in range(3)] == [[], [], []]
    facts = check().found["mx"]
    assert (facts["state"], facts["known"], facts["found"]) == ("unchecked", "ok", known)
    assert check().next_at - timezone.now() < timedelta(minutes=6)
    domain.refresh_from_db()
    assert domain.status == "active"
    settings.DNS_NAMESERVERS = dns.nameservers
    assert looks() == []


def test_a_domain_that_is_being_set_up_alarms_nobody(domain, dns, looks):
    dns.clear()
    assert [looks() for _ in range(3)] == [[], [], []]
    assert check().next_at - timezone.now() <= timedelta(minutes=1)


def test_a_proof_that_vanishes_is_told_and_turns_nothing_off(looks, domain, dns, as_, alice):
    looks()
    dns.publish(f"{OwnershipKey.of(domain.customer).label}.acme.test", "TXT")
    assert [looks() for _ in range(2)] == [[], ["DNS of acme.test needs you"]]
    assert "Proof of ownership: not found." in mail.outbox[0].body
    page = as_(alice).get(f"{BASE}acme.test/").content.decode()
    assert 'data-ownership="missing"' in page
    assert 'data-status="active"' in page
    assert domain.add_mailbox("new", password_hash=HASH, by=None)


def test_daily_once_well(looks):
    looks()
    assert timedelta(hours=22) < check().next_at - timezone.now() < timedelta(hours=26)


def test_by_the_minute_for_a_day_then_hourly(domain, dns, looks):
    dns.clear()
    looks()
    DnsCheck.objects.update(pending_since=timezone.now() - timedelta(days=2))
    looks()
    assert timedelta(minutes=50) < check().next_at - timezone.now() <= timedelta(hours=1)
    domain.check_dns(by_hand=True)
    assert check().next_at - timezone.now() <= timedelta(minutes=1)


def test_what_others_still_see(looks, domain, dns, as_, alice):
    looks()
    DnsCheck.objects.update(found={kind: facts | {"ttl": 300} for kind, facts in check().found.items()})
    dns.publish("acme.test", "MX", "10 elsewhere.test.")
    looks()
    page = as_(alice).get(f"{BASE}acme.test/").content.decode()
    assert page.count("others may still see what stood there before") == 1
    assert "ago, next in 1 min." in page or "ago, next in 60 s." in page or "ago, next in 59 s." in page


def test_the_sweep_finds_what_is_due_and_claims_it(domain, monkeypatch):
    asked = []
    monkeypatch.setattr(check_domain, "apply_async", lambda args, **kwargs: asked.append(args))
    sweep_dns()
    sweep_dns()
    assert asked == [[str(domain.pk)]]
    DnsCheck.objects.update(next_at=timezone.now())
    Domain.objects.update(deleted_at=timezone.now())
    sweep_dns()
    assert len(asked) == 1


def test_looks_have_a_queue_of_their_own(settings):
    """Name servers of strangers that dawdle must not keep sweeps and mails waiting."""
    assert settings.CELERY_TASK_ROUTES[check_domain.name] == {"queue": "dns"}
    assert "dns" in settings.CANARIES


def test_asked_too_often(domain, dns, as_, alice):
    client = as_(alice)
    url = f"{BASE}acme.test/check/"
    assert client.post(url).status_code == 302
    DnsCheck.objects.update(asked=29)
    assert client.post(url).status_code == 302
    refused = client.post(url)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 60
    assert "That was asked very often" in refused.content.decode()
    DnsCheck.objects.update(asked_since=timezone.now() - dns_watch.MINUTE * 2)
    assert client.post(url).status_code == 302
