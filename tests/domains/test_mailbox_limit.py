"""The send limit of a mailbox: its own, the plan's, and a raise by staff."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import AuditEntry
from domains.driver.rows import read
from domains.models import CustomerSending, Kind, SendRaise, ServerSync
from domains.sending import limits_of
from tests.domains.conftest import BASE, revision_of
from tests.plans import sell_as

PAGE = f"{BASE}acme.test/mailboxes/anna/"
URL = f"{PAGE}limit/"
TOMORROW = timedelta(days=1)


@pytest.fixture(autouse=True)
def newest(mx1):
    ServerSync.objects.filter(server=mx1).update(wire=4)


def row_of(thing, kind=Kind.MAILBOX):
    return read({kind: [thing.pk]})[kind][thing.pk]


def test_works(as_, alice, anna):
    before = revision_of(anna)
    assert anna.send_limit == 9600
    response = as_(alice).post(URL, {"limit": "50"})
    assert (response.status_code, response["Location"]) == (302, anna.get_absolute_url())
    anna.refresh_from_db()
    assert (anna.send_limit, row_of(anna).sends_per_day) == (50, 50)
    assert revision_of(anna) > before
    entry = AuditEntry.objects.get(action="mailbox.limit")
    assert (entry.before, entry.after) == ({"sends_per_day": None}, {"sends_per_day": 50})
    page = as_(alice).get(PAGE).content.decode()
    assert 'data-send-limit="50"' in page
    assert "50 left." in page


def test_stranger_gets_404(as_, mallory, other, anna):
    assert as_(mallory).post(URL, {"limit": "50"}).status_code == 404


def test_reader_gets_403(as_, bob, anna):
    assert as_(bob).post(URL, {"limit": "50"}).status_code == 403


def test_twice_is_harmless(as_, alice, anna):
    as_(alice).post(URL, {"limit": "50"})
    before = revision_of(anna)
    assert as_(alice).post(URL, {"limit": "50"}).status_code == 302
    assert revision_of(anna) == before
    assert AuditEntry.objects.filter(action="mailbox.limit").count() == 1


@pytest.mark.parametrize("limit", ["", "9600"])
def test_back_to_the_plan(as_, alice, anna, limit):
    """The plan's own number is no limit of its own: it follows the plan."""
    anna.limit_sends(50, by=alice)
    as_(alice).post(URL, {"limit": limit})
    anna.refresh_from_db()
    assert (anna.sends_per_day, anna.send_limit) == (None, 9600)


@pytest.mark.parametrize("limit", ["9601", "-1", "x", "1e9", "9" * 30, "\x00", "1\r\n2"])
def test_refused_values_change_nothing(as_, alice, anna, limit):
    response = as_(alice).post(URL, {"limit": limit})
    assert response.status_code == 422
    assert b"id_limit_error" in response.content
    anna.refresh_from_db()
    assert anna.sends_per_day is None


def test_nothing_is_a_limit_too(alice, anna):
    assert anna.limit_sends(0, by=alice)
    assert (anna.send_limit, row_of(anna).sends_per_day) == (0, 0)


def test_the_plan_says(as_, sam, anna, subscribe):
    sell_as(anna.customer, sends_per_day=100)
    assert anna.send_limit == 100
    assert row_of(anna.customer, Kind.CUSTOMER).sends_per_day == 100
    anna.customer.subscriptions.update(ended_at=timezone.now())
    assert anna.send_limit == 0


def test_staff_change_a_plan_and_what_was_sold_stays(as_, sam, anna, mx1):
    plan = anna.customer.subscriptions.get().plan
    form = {
        "slug": plan.slug, "name": plan.name, "storage_mb": plan.storage_mb, "sends_per_day": 1, "currency": "USD",
        "yearly_minor": 100, "position": 0, "description": "", "mailboxes": "", "domains": "", "monthly_minor": "",
    }  # fmt: skip
    before = type(mx1).objects.get(pk=mx1.pk).revision
    assert as_(sam).post(f"/admin/billing/plan/{plan.pk}/change/", form).status_code == 302
    assert anna.send_limit == 9600
    assert type(mx1).objects.get(pk=mx1.pk).revision == before


def test_an_older_mail_server_is_told_nothing_of_it(anna, mx1, alice):
    anna.raise_sends(20_000, until=timezone.now() + TOMORROW, reason="x", by=None)
    anna.limit_sends(50, by=alice)
    CustomerSending.limit(anna.customer, 7, by=None)
    ServerSync.objects.filter(server=mx1).update(wire=3)
    row, customer = row_of(anna), row_of(anna.customer, Kind.CUSTOMER)
    assert (row.sends_per_day, row.raised_to, customer.sends_per_day_in_sum) == (None, 0, None)


def test_staff_raise_it_for_a_time(as_, sam, alice, anna):
    client, until = as_(sam), timezone.now() + TOMORROW
    form = {
        "mailbox": str(anna.pk), "sends_per_day": "20000", "reason": "Newsletter of the club",
        "until_0": f"{until:%Y-%m-%d}", "until_1": f"{until:%H:%M:%S}",
    }  # fmt: skip
    before = revision_of(anna)
    assert client.post("/admin/domains/sendraise/add/", form).status_code == 302
    made = SendRaise.objects.get()
    assert (made.by, made.sends_per_day, anna.send_limit) == (sam, 20_000, 20_000)
    assert revision_of(anna) > before
    assert (row_of(anna).raised_to, row_of(anna).raised_until) == (20_000, int(made.until.timestamp()))
    assert AuditEntry.objects.get(action="mailbox.raise").after["reason"] == "Newsletter of the club"
    assert "Newsletter of the club" in as_(alice).get(PAGE).content.decode()
    # Another one takes its place.
    client.post("/admin/domains/sendraise/add/", {**form, "sends_per_day": "30000"})
    assert anna.send_limit == 30_000
    newest = SendRaise.objects.get(lifted_at=None)
    action = {"action": "end", "_selected_action": [str(newest.pk)], "reason": "The letter is out"}
    assert client.post("/admin/domains/sendraise/", action).status_code == 302
    assert (anna.send_limit, row_of(anna).raised_until) == (9600, 0)
    assert AuditEntry.objects.get(action="mailbox.raise_end").after["reason"] == "The letter is out"


@pytest.mark.parametrize(
    "change", [{"sends_per_day": "9600"}, {"until_0": "2020-01-01"}, {"reason": ""}, {"mailbox": "x"}]
)
def test_a_raise_that_is_none(as_, sam, anna, change):
    form = {
        "mailbox": str(anna.pk), "sends_per_day": "20000", "reason": "r", "until_0": "2099-01-01", "until_1": "00:00",
    }  # fmt: skip
    assert as_(sam).post("/admin/domains/sendraise/add/", form | change).status_code == 200
    assert not SendRaise.objects.exists()


def test_a_raise_ends_by_itself(anna):
    made = anna.raise_sends(20_000, until=timezone.now() + TOMORROW, reason="x", by=None)
    SendRaise.objects.filter(pk=made.pk).update(until=timezone.now() - TOMORROW)
    assert anna.send_limit == 9600
    with pytest.raises(ValidationError):
        anna.raise_sends(20_000, until=timezone.now(), reason="x", by=None)
    anna.raise_sends(20_000, until=timezone.now() + TOMORROW, reason="x", by=None)


def test_its_own_limit_holds_while_it_is_raised(as_, alice, anna):
    """Who says that it sends nothing has to be believed: perhaps somebody else has its password."""
    until = timezone.now() + TOMORROW
    anna.raise_sends(20_000, until=until, reason="x", by=None)
    assert as_(alice).post(URL, {"limit": "0"}).status_code == 302
    anna.refresh_from_db()
    assert (anna.send_limit, limits_of([anna])) == (0, {anna.pk: 0})
    page = as_(alice).get(PAGE).content.decode()
    assert 'data-send-limit="0"' in page
    assert "The limit of its own still holds." in page
    with pytest.raises(ValidationError, match="a raise does not lift that"):
        anna.raise_sends(30_000, until=until, reason="x", by=None)
    as_(alice).post(URL, {"limit": ""})
    anna.refresh_from_db()
    assert anna.send_limit == 20_000


def test_a_limit_in_sum_by_staff(as_, sam, alice, anna):
    client, customer = as_(sam), anna.customer
    form = {"customer": str(customer.pk), "sends_per_day_in_sum": "500", "reason": "New here"}
    assert client.post("/admin/domains/customersending/add/", {**form, "reason": ""}).status_code == 200
    assert not AuditEntry.objects.filter(action="customer.limit").exists()
    assert client.post("/admin/domains/customersending/add/", form).status_code == 302
    assert row_of(customer, Kind.CUSTOMER).sends_per_day_in_sum == 500
    assert "500 left." in as_(alice).get(f"/c/{customer.username}/").content.decode()
    found = CustomerSending.objects.get()
    url = f"/admin/domains/customersending/{found.pk}/change/"
    assert client.post(url, {**form, "sends_per_day_in_sum": ""}).status_code == 302
    assert row_of(customer, Kind.CUSTOMER).sends_per_day_in_sum is None
    reasons = [entry.after["reason"] for entry in AuditEntry.objects.filter(action="customer.limit")]
    assert reasons == ["New here", "New here"]
