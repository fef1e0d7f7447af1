import re
from html import unescape

import pytest

from accounts.models import AuditEntry, Webhook


@pytest.fixture
def path(webhook):
    return f"{webhook.get_absolute_url()}rotate/"


def test_works(as_, alice, webhook, path):
    client, former = as_(alice), webhook.secret
    page = client.post(path)

    webhook.refresh_from_db()
    shown = unescape(page.content.decode())
    assert re.findall(r"whsec_[A-Za-z0-9+/=]{44}", shown) == [webhook.secret]
    assert webhook.secrets == [webhook.secret, former]
    assert page["Cache-Control"].startswith("max-age=0")
    entry = AuditEntry.objects.get(action="webhook.rotate")
    assert (entry.by, entry.before, entry.after) == (alice, None, None)
    later = client.get(webhook.get_absolute_url()).content.decode()
    assert "Two sign: the former one until" in later
    assert "whsec_" not in later


def test_a_second_one_is_warned_of(as_, alice, webhook, path):
    client = as_(alice)
    warning = "stops signing at once"
    assert warning not in client.get(webhook.get_absolute_url()).content.decode()
    client.post(path)
    assert warning in client.get(webhook.get_absolute_url()).content.decode()


def test_stranger_gets_404(as_, mallory, other, webhook, path):
    assert as_(mallory).post(path).status_code == 404
    assert as_(mallory).post(path.replace("/acme/", "/other/")).status_code == 404
    assert Webhook.objects.get().secret == webhook.secret


def test_a_reader_gets_403(as_, bob, webhook, path):
    assert as_(bob).post(path).status_code == 403
    assert Webhook.objects.get().secret == webhook.secret
