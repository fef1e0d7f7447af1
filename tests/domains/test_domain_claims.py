"""Claims of what is not the claimant's: each refused, or harmless."""

import pytest
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.utils import timezone

from accounts import notices
from domains.models import Domain, DomainClaim, OwnershipKey, add_domain
from domains.models.claim import AGAIN_AFTER
from domains.models.domain import refuse_ours
from foundation.names import normalise_domain

URL = "/c/other/domains/add/"


@pytest.fixture
def claim(as_, mallory, other, domain, dns, subscribe):
    """Mallory proves a name, where its DNS takes the proof, and adds it; the page that answers."""
    subscribe(other)
    label = OwnershipKey.of(other).label

    def claim(entered: str, proved: str = ""):
        if proved:
            dns.publish(f"{label}.{proved}", "TXT", "domain-verified")
        return as_(mallory).post(URL, {"domain": entered})

    return claim


@pytest.mark.parametrize("entered", ["Acme.TEST.", " acme.test ", "ACME.test", "ａｃｍｅ.test"])
def test_another_spelling_is_the_same_domain(claim, entered):
    page = claim(entered, "acme.test")
    assert page.status_code == 422
    assert 'data-result="taken"' in page.content.decode()
    assert "As you have proved it, a person looks at it" in page.content.decode()
    assert Domain.objects.get().customer.username == "acme"


def test_a_look_alike_is_a_name_of_its_own_and_shows_as_what_it_is(claim):
    assert normalise_domain("аcme.test") == "xn--cme-5cd.test"  # with a Cyrillic letter
    answer = claim("аcme.test", "xn--cme-5cd.test")
    assert answer.status_code == 302
    assert "xn--cme-5cd.test" in answer["Location"]


def test_a_sub_domain_needs_its_own_proof(claim, domain):
    assert 'data-result="missing"' in claim("sub.acme.test").content.decode()
    assert claim("sub.acme.test", "sub.acme.test").status_code == 302
    assert {(found.name, found.customer.username) for found in Domain.objects.all()} == {
        ("acme.test", "acme"),
        ("sub.acme.test", "other"),
    }


@pytest.mark.parametrize(
    "name", ["co.uk", "com.au", "github.io", "blogspot.com", "xn--55qx5d.cn", "kawasaki.jp"]
)
def test_public_suffixes_are_nobodys(claim, name):
    page = claim(name)
    assert page.status_code == 422
    assert "other people register names of their own" in page.content.decode()


@pytest.mark.parametrize(
    "name", ["example.co.uk", "acme.github.io", "acme.test", "city.kawasaki.jp", "a.b.test"]
)
def test_names_below_them_are_somebodys(name, db):
    refuse_ours(name)


@pytest.mark.parametrize(
    "name", ["mxpanel.test", "mx1.mxpanel.test", "MX1.mxpanel.TEST.", "anything.mxpanel.test"]
)
def test_our_own_names_are_not_for_sale(claim, name):
    assert 'data-result="taken"' in claim(name).content.decode()


def test_a_verb_refuses_them_too(other, subscribe, db):
    subscribe(other)
    with pytest.raises(ValidationError):
        add_domain(other, "co.uk", by=None)


def test_a_name_of_253_has_no_room_for_its_proof(claim):
    name = ".".join(["a" * 62] * 3 + ["b" * 59, "test"])
    assert len(name) == 253
    page = claim(name)
    assert page.status_code == 422
    assert "too long to carry the record" in page.content.decode()


def test_a_second_proof_is_a_case_for_staff_and_told_once(claim, domain, settings):
    for _ in range(2):
        assert 'data-result="taken"' in claim("acme.test", "acme.test").content.decode()
    case = DomainClaim.objects.get()
    assert (case.domain, case.claimant.username, case.status) == (domain, "other", "open")
    told = {subject: message.to for subject, message in mails().items()}
    assert "alice@example.test" in told["Somebody else says that acme.test is theirs"]
    assert told["Decide whose acme.test is"] == [settings.SUPPORT_EMAIL]
    assert len(mail.outbox) == 2


def test_without_a_proof_there_is_no_case(claim):
    claim("acme.test")
    assert not DomainClaim.objects.exists()


def test_given_without_the_former_holders_mailboxes(claim, domain, anna, sam):
    claim("acme.test", "acme.test")
    case = DomainClaim.objects.get()
    assert case.give(by=sam)
    assert not case.give(by=sam), "decided once"
    assert not case.keep(by=sam)
    now = Domain.objects.live().get(name="acme.test")
    assert now.customer.username == "other"
    assert not now.mailboxes.exists()
    anna.refresh_from_db()
    assert anna.domain == domain
    domain.refresh_from_db()
    assert domain.deleted_at
    with pytest.raises(ValidationError):
        domain.restore(by=None)
    told = mails()
    assert told["acme.test is yours now"].to == ["mallory@example.test"]
    lost = told["acme.test has gone to another customer"]
    assert "alice@example.test" in lost.to
    assert "were not handed over: they wait with the deleted domain until" in lost.body


def mails() -> dict[str, EmailMessage]:
    """What is owed is sent: by subject."""
    mail.outbox.clear()
    for notice_id in notices.unsent():
        notices.deliver(notice_id)
    return {message.subject: message for message in mail.outbox}


def test_kept(claim, domain, sam):
    claim("acme.test", "acme.test")
    mails()
    assert DomainClaim.objects.get().keep(by=sam)
    domain.refresh_from_db()
    assert domain.deleted_at is None
    assert DomainClaim.objects.get().status == "kept"
    told = mails()
    assert told["acme.test stays where it is"].to == ["mallory@example.test"]
    assert "alice@example.test" in told["acme.test stays yours"].to


def test_the_same_claim_again_pesters_nobody(claim, domain, sam):
    claim("acme.test", "acme.test")
    DomainClaim.objects.get().keep(by=sam)
    mails()
    assert "a person of ours left it there" in claim("acme.test").content.decode()
    assert DomainClaim.objects.count() == 1
    assert not mails()
    DomainClaim.objects.update(decided_at=timezone.now() - AGAIN_AFTER)
    claim("acme.test")
    assert DomainClaim.objects.filter(decided_at=None).count() == 1


def test_a_claim_whose_proof_is_gone_is_not_given(claim, domain, dns, sam):
    claim("acme.test", "acme.test")
    dns.clear()
    with pytest.raises(ValidationError, match="for other does not prove"):
        DomainClaim.objects.get().give(by=sam)
    domain.refresh_from_db()
    assert (domain.deleted_at, DomainClaim.objects.get().status) == (None, "open")
