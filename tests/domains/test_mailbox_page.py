import re

from tests.domains.conftest import BASE, settle


def page(client, **headers) -> str:
    response = client.get(f"{BASE}acme.test/mailboxes/anna/", headers=headers)
    assert response.status_code == 200
    return response.content.decode()


def test_saved_then_live(as_, alice, anna, mx1):
    client = as_(alice)
    assert 'data-live="false"' in page(client)
    settle(mx1)
    shown = page(client)
    assert 'data-live="true"' in shown
    assert 'data-server="mx1.mxpanel.test"' in shown
    assert 'data-status="active"' in shown
    assert shown.count("data-status=") == 1


def test_htmx_gets_the_same_part(as_, alice, anna, mx1):
    client = as_(alice)
    part = page(client, hx_request="true")
    assert "<html" not in part
    assert part.strip() in page(client)
    assert 'hx-get="/c/acme/domains/acme.test/mailboxes/anna/"' in part
    settle(mx1)
    assert "hx-get" not in page(client, hx_request="true")


def test_a_suspension_is_saved_first_and_live_later(as_, alice, anna, mx1):
    settle(mx1)
    anna.suspend(by=alice)
    assert 'data-live="false"' in page(as_(alice))
    settle(mx1)
    assert 'data-live="true"' in page(as_(alice))


def test_a_restored_domain_is_saved_first_and_live_later(as_, alice, anna, mx1):
    anna.domain.delete(by=alice)
    settle(mx1)
    anna.domain.restore(by=alice)
    assert 'data-live="false"' in page(as_(alice))
    settle(mx1)
    assert 'data-live="true"' in page(as_(alice))


def test_before_placement_nothing_is_live(as_, alice, anna):
    anna.customer.placement.delete()
    shown = page(as_(alice))
    assert 'data-live="false"' in shown
    assert "waiting for a mail server" in shown


def test_settings_for_mail_programs(as_, alice, anna, mx1):
    """Each to be copied, with the ports of this installation."""
    mx1.ports = {name: 8000 + number for number, name in enumerate(mx1.ports)}
    mx1.save(update_fields=["ports"])
    copied = dict(re.findall(r"<code data-([a-z0-9-]+)>([^<]+)</code>", page(as_(alice))))
    ports = {name.replace("_", "-"): str(port) for name, port in mx1.ports.items() if name != "smtp"}
    assert copied == {"user": "anna@acme.test", "host": "mx1.mxpanel.test", **ports}


def test_stranger_gets_404(as_, mallory, other, anna):
    assert as_(mallory).get(f"{BASE}acme.test/mailboxes/anna/").status_code == 404


def test_unknown_is_404(as_, alice, anna):
    client = as_(alice)
    for name in ("ben", "anna@other.test", "ANNA", "an%20na", "anna%0a"):
        assert client.get(f"{BASE}acme.test/mailboxes/{name}/").status_code == 404
    assert client.get(f"{BASE}acme.test/mailboxes/anna@acme.test/").status_code == 200
