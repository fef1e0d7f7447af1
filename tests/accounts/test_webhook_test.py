"""A test event, and an event that is sent again."""

import pytest
from django.core.cache import cache

from accounts.models import Delivery, WebhookEvent
from accounts.webhooks import sending
from tests.accounts.conftest import happens


@pytest.fixture
def delivery(acme, webhook, target):
    """One whose first call was not taken."""
    target.answer = lambda path: (500, b"")
    happens(acme)
    sending.call(str(webhook.pk))
    target.answer = lambda path: (204, b"")
    return webhook.deliveries.get()


def test_a_test_works(as_, alice, webhook, target):
    client = as_(alice)
    to = client.post(f"{webhook.get_absolute_url()}test/")["Location"]
    assert 'data-status="waiting"' in client.get(to).content.decode()
    sending.call(str(webhook.pk))
    assert [event["type"] for event in target.events(webhook.secret)] == ["webhook.test"]
    assert 'data-status="delivered"' in client.get(to).content.decode()


def test_again_works(as_, alice, webhook, delivery, target):
    client, page = as_(alice), delivery.get_absolute_url()
    for _ in range(2):
        assert client.post(f"{page}send-again/")["Location"] == page
    sending.call(str(webhook.pk))
    shown = client.get(page).content.decode()
    assert 'data-status="delivered"' in shown
    assert shown.count(" ms)") == 2
    assert target.calls[0][1] == target.calls[1][1]
    assert WebhookEvent.objects.count() == 1


def test_while_it_is_off_neither_is_sent(as_, alice, webhook, delivery):
    client = as_(alice)
    webhook.switch_off(by=alice)
    for path in (f"{webhook.get_absolute_url()}test/", f"{delivery.get_absolute_url()}send-again/"):
        answer = client.post(path)
        assert answer.status_code == 422
        assert "Switch the webhook on first." in answer.content.decode()
    assert Delivery.objects.count() == 1


def test_strangers_get_404_and_readers_403(as_, bob, mallory, other, webhook, delivery):
    for path in (f"{webhook.get_absolute_url()}test/", f"{delivery.get_absolute_url()}send-again/"):
        assert as_(mallory).post(path).status_code == 404
        assert as_(mallory).post(path.replace("/acme/", "/other/")).status_code == 404
        assert as_(bob).post(path).status_code == 403
    assert Delivery.objects.count() == 1


def test_each_may_be_asked_for_so_often_in_a_minute(as_, alice, webhook, delivery, settings):
    cache.clear()
    assert {"accounts:webhook-test", "accounts:delivery-send-again"} <= settings.FORM_LIMITS.keys()
    settings.FORM_LIMITS = {"accounts:webhook-test": {"person": 2}}
    client = as_(alice)
    codes = [client.post(f"{webhook.get_absolute_url()}test/").status_code for _ in range(3)]
    assert codes == [302, 302, 429]
