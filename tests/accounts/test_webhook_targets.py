"""Whom webhooks may reach: what is open to the whole internet, over TLS."""

from io import StringIO

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from accounts.models import Webhook
from accounts.models.webhook import MOST, add_webhook
from accounts.webhooks.targets import check_target
from foundation.outbound import is_public_address

pytestmark = pytest.mark.django_db
GOOD = "https://hooks.example.com/services/T0/B0?sig=1"


@pytest.mark.parametrize(
    "url",
    [GOOD, "https://hooks.example.com:8443", "https://93.184.215.14/x", "https://[2606:2800:21f:cb07::1]/"],
)
def test_good_ones(url):
    assert check_target(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "", "x", "http://hooks.example.com/", "ftp://hooks.example.com/", "https://", "https:///x", "https://localhost/",
        "https://127.0.0.1/", "https://127.1/", "https://2130706433/", "https://0x7f.1/", "https://[::1]/",
        "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::a00:7]/", "https://[fec0::1]/", "https://[::10.0.0.1]/",
        "https://10.0.0.7/", "https://169.254.169.254/latest/", "https://100.64.0.1/", "https://0.0.0.0/",
        "https://user@hooks.example.com/", "https://:pass@hooks.example.com/", "https://hooks.example.com/#x",
        "https://hooks.example.com:0/", "https://hooks.example.com:99999/", "https://hooks.example.com/\r\nX: y",
        "https://hooks.example.com/ x", "https://hooks.example.com/ä", "https://[", "https://a.test\\@10.0.0.7/",
        "https://hooks.example.com/" + "x" * 500, "https://\x00.example.com/",
    ],
)  # fmt: skip
def test_others_are_refused_and_change_nothing(acme, alice, url):
    with pytest.raises(ValidationError):
        check_target(url)
    with pytest.raises(ValidationError):
        add_webhook(acme, url, ["mailboxes"], by=alice)
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    "address",
    [
        "::1", "fe80::1", "fec0::1", "fc00::1", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::7f00:1",
        "2002:7f00:1::1", "4000::1", "ff02::1", "2001:db8::1", "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1",
        "169.254.1.1", "100.64.0.1", "0.1.2.3", "255.255.255.255", "224.0.0.1", "192.0.2.1", "198.18.0.1", "x",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address):
    assert not is_public_address(address)


@pytest.mark.parametrize("groups", [[], ["nonsense"], ["mailboxes", "nonsense"]])
def test_groups_that_there_are(acme, alice, groups):
    with pytest.raises(ValidationError):
        add_webhook(acme, GOOD, groups, by=alice)


def test_so_many_for_a_customer(acme, alice):
    for number in range(MOST):
        add_webhook(acme, f"{GOOD}{number}", ["mailboxes"], by=alice)
    with pytest.raises(ValidationError):
        add_webhook(acme, GOOD, ["mailboxes"], by=alice)


def test_a_url_stands_nowhere_in_clear(acme, alice):
    from django.db import connection

    add_webhook(acme, GOOD, ["mailboxes"], by=alice).change(f"{GOOD}2", ["dns"], by=alice)
    with connection.cursor() as cursor:
        for table in ("accounts_webhook", "accounts_auditentry"):
            cursor.execute(f"SELECT string_agg({table}::text, '') FROM {table}")  # noqa: S608 our own names
            assert "sig=1" not in cursor.fetchone()[0]


def test_the_deployment_check_complains_of_test_targets(settings):
    settings.WEBHOOK_TEST_TARGETS = ["127.0.0.1:8501"]
    with pytest.raises(SystemCheckError, match=r"accounts\.W001"):
        call_command("check", deploy=True, fail_level="WARNING", stderr=StringIO())
