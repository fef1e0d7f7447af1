"""On, off, and gone."""

from accounts.models import AuditEntry, Delivery, Webhook
from tests.accounts.conftest import happens


def entries(action):
    return AuditEntry.objects.filter(action=action).count()


def test_off_and_on(as_, acme, alice, webhook):
    client, page = as_(alice), webhook.get_absolute_url()
    assert 'data-status="active"' in client.get(page).content.decode()
    assert client.post(f"{page}switch-off/")["Location"] == page
    shown = client.get(page).content.decode()
    assert 'data-status="off"' in shown
    assert "by one of you" in shown
    assert client.post(f"{page}switch-on/")["Location"] == page
    assert 'data-status="active"' in client.get(page).content.decode()


def test_twice_changes_nothing(as_, alice, webhook):
    client, page = as_(alice), webhook.get_absolute_url()
    for verb in ("off", "on"):
        for _ in range(2):
            assert client.post(f"{page}switch-{verb}/").status_code == 302
        assert entries(f"webhook.switch_{verb}") == 1


def test_what_somebody_else_removed_meanwhile_is_not_there(as_, alice, webhook, monkeypatch):
    monkeypatch.setattr("accounts.webhooks.views._webhook", lambda request, pk: webhook)
    path = webhook.get_absolute_url()
    webhook.remove(by=alice)
    for verb in ("switch-on", "switch-off", "rotate"):
        assert as_(alice).post(f"{path}{verb}/").status_code == 404


def test_why_it_is_off_is_said(as_, alice, webhook):
    webhook.switch_off("It answered 410 Gone.", by=None)
    assert "It answered 410 Gone." in as_(alice).get(webhook.get_absolute_url()).content.decode()


def test_remove(as_, acme, alice, webhook):
    happens(acme)
    client = as_(alice)
    answer = client.post(f"{webhook.get_absolute_url()}remove/")
    assert "is told nothing more" in client.get(answer["Location"]).content.decode()
    assert client.post(f"{webhook.get_absolute_url()}remove/").status_code == 404
    assert not Webhook.objects.exists()
    assert not Delivery.objects.exists()
    assert entries("webhook.remove") == 1


def test_strangers_get_404_and_readers_403(as_, bob, mallory, other, webhook):
    for verb in ("switch-off", "switch-on", "remove"):
        path = f"{webhook.get_absolute_url()}{verb}/"
        assert as_(mallory).post(path).status_code == 404
        assert as_(mallory).post(path.replace("/acme/", "/other/")).status_code == 404
        assert as_(bob).post(path).status_code == 403
    assert Webhook.objects.get().status == "active"
