"""The list, the page of one with its log, and one delivery."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Webhook, WebhookEvent
from accounts.models.webhook import MOST
from accounts.webhooks import sending
from tests.accounts.conftest import happens

LIST = "/c/acme/webhooks/"


@pytest.fixture
def many(acme, webhook):
    """120 events, of each three calls."""
    for number in range(120):
        happens(acme, subject=f"box{number:03}@acme.test")
    for delivery in webhook.deliveries.all():
        for status in (500, 502, 503):
            delivery.calls.create(milliseconds=1, status=status)


def queries(client, path):
    with CaptureQueriesContext(connection) as found:
        assert client.get(path).status_code == 200
    return len(found)


def test_the_list_when_empty(as_, acme, alice, bob):
    assert "Add the first webhook" in as_(alice).get(LIST).content.decode()
    assert "Add the first webhook" not in as_(bob).get(LIST).content.decode()


def test_the_list(as_, acme, bob, webhook):
    happens(acme)
    page = as_(bob).get(LIST).content.decode()
    assert str(webhook) in page
    assert "Orders and payments; Mailboxes" in page
    assert "Waiting" in page


def test_the_url_which_may_hold_a_secret_is_shown_to_who_may_change_it(as_, acme, alice, bob, webhook):
    for path in (LIST, webhook.get_absolute_url()):
        assert webhook.url in as_(alice).get(path).content.decode()
        assert webhook.url not in as_(bob).get(path).content.decode()


def test_the_list_costs_the_same_for_many(as_, acme, alice, webhook):
    client = as_(alice)
    client.get(LIST)
    happens(acme)
    one = queries(client, LIST)
    for _ in range(MOST - 1):
        Webhook.objects.create(customer=acme, url=webhook.url, groups=["mailboxes"])
    happens(acme)
    assert queries(client, LIST) == one


def test_the_log(as_, acme, bob, webhook, target):
    target.answer = lambda path: (503, b"<script>later")
    happens(acme)
    sending.call(str(webhook.pk))
    page = as_(bob).get(webhook.get_absolute_url()).content.decode()
    for said in ("mailbox.add", "anna@acme.test", "no.&nbsp;1", "Waiting", "503", "Failing since"):
        assert said in page
    assert 'data-status="failing"' in page
    assert 'method="post" action="/c/' not in page


def test_the_log_comes_in_pages_at_the_same_cost(as_, alice, webhook, many):
    client, path = as_(alice), webhook.get_absolute_url()
    page = client.get(path).content.decode()
    assert "box119@" in page
    assert "box070@" in page
    assert "box069@" not in page
    after = webhook.deliveries.all()[49].pk
    assert f'href="?after={after}"' in page
    last = client.get(f"{path}?after={webhook.deliveries.all()[99].pk}").content.decode()
    assert "box000@" in last
    assert "?after=" not in last
    cost = queries(client, path)
    webhook.deliveries.filter(pk__lt=after).delete()
    webhook.deliveries.filter(pk__gt=after).delete()
    assert queries(client, path) == cost


def test_hostile_pages(as_, alice, acme, webhook):
    happens(acme)
    client = as_(alice)
    for path in (webhook.get_absolute_url(), webhook.deliveries.get().get_absolute_url()):
        assert client.get(path, {"after": "\x00"}).status_code == 400
        for value in ("-1", "9" * 40, "٣", "²", "x"):
            assert client.get(path, {"after": value}).status_code == 200


def test_a_delivery(as_, acme, bob, webhook, target):
    target.answer = lambda path: (500, b"<script>alert(1)</script>")
    happens(acme)
    sending.call(str(webhook.pk))
    delivery = webhook.deliveries.get()
    page = as_(bob).get(delivery.get_absolute_url()).content.decode()
    assert sending.body_of(delivery).encode() == target.calls[0][1]
    assert target.calls[0][1].decode().replace('"', "&quot;") in page
    assert target.calls[0][0]["webhook-id"] in page
    assert "500 (" in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    assert "whsec_" not in page
    assert 'data-status="waiting"' in page
    assert "Send again" not in page


def test_a_delivery_that_is_due_is_looked_at_again_by_itself(as_, acme, alice, webhook):
    happens(acme)
    delivery, client = webhook.deliveries.get(), as_(alice)
    path = delivery.get_absolute_url()
    assert 'hx-trigger="every 2s"' in client.get(path).content.decode()
    part = client.get(path, headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith('<div id="delivery"')
    sending.call(str(webhook.pk))
    part = client.get(path, headers={"HX-Request": "true"}).content.decode()
    assert "hx-trigger" not in part
    assert 'data-status="delivered"' in part


def test_one_whose_webhook_rests_is_not(as_, acme, alice, webhook):
    happens(acme)
    Webhook.objects.update(rests_until=timezone.now() + timedelta(hours=5))
    page = as_(alice).get(webhook.deliveries.get().get_absolute_url()).content.decode()
    assert "hx-trigger" not in page
    assert "The next call is on" in page


def test_the_calls_of_a_delivery_come_in_pages(as_, acme, alice, webhook):
    happens(acme)
    delivery, client = webhook.deliveries.get(), as_(alice)
    for number in range(60):
        delivery.calls.create(milliseconds=number, status=500)
    page = client.get(delivery.get_absolute_url()).content.decode()
    assert page.count("500 (") == 50
    rest = client.get(f"{delivery.get_absolute_url()}?after={delivery.calls.all()[49].pk}")
    assert rest.content.decode().count("500 (") == 10


def test_what_is_anothers_is_not_there(as_, acme, other, alice, mallory, webhook):
    happens(acme)
    theirs = webhook.deliveries.get()
    own = Webhook.objects.create(customer=other, url="https://hooks.example.com/", groups=["mailboxes"])
    client = as_(mallory)
    for path in (
        LIST, webhook.get_absolute_url(), theirs.get_absolute_url(), f"/c/other/webhooks/{webhook.pk}/",
        f"/c/other/webhooks/{own.pk}/deliveries/{theirs.pk}/",
        f"/c/other/webhooks/{own.pk}/deliveries/{9**30}/",
    ):  # fmt: skip
        assert client.get(path).status_code == 404
    assert WebhookEvent.objects.count() == 1
