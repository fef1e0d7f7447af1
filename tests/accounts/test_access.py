"""The role decides, the decorators obey."""

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import reverse

from accounts.access import RIGHTS, Permission, may
from accounts.models import Role


def test_rights_grow_with_the_role():
    assert RIGHTS[Role.READER] < RIGHTS[Role.BILLING] < RIGHTS[Role.ADMIN] <= RIGHTS[Role.OWNER]
    assert not may(Role.BILLING, Permission.MAILBOXES_EDIT)
    assert not may(None, Permission.CUSTOMER_READ)


def test_readers_see_webhooks_and_admins_change_them():
    for role in Role:
        assert may(role, Permission.WEBHOOKS_READ)
        assert may(role, Permission.WEBHOOKS_EDIT) == (role in (Role.ADMIN, Role.OWNER))


def test_a_foreign_customer_and_an_unknown_one_answer_alike(as_, acme, other, mallory):
    client = as_(mallory)
    foreign, unknown = client.get("/c/acme/"), client.get("/c/nobody/")
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.content == unknown.content


def test_anonymous_is_sent_to_the_sign_in_for_both(client, acme):
    for path in ("/c/acme/", "/c/nobody/"):
        answer = client.get(path)
        assert (answer.status_code, answer.url) == (302, f"{reverse('account_login')}?next={path}")


def test_a_reader_sees_but_billing_pages_stay_closed_to_strangers(as_, acme, bob):
    client = as_(bob)
    assert client.get("/c/acme/").status_code == 200
    assert client.get("/c/acme/members/").status_code == 200


def test_a_change_before_activation_is_refused_with_the_reason(as_, acme, alice):
    from accounts.models import Customer

    Customer.objects.filter(pk=acme.pk).update(activated_at=None)
    client = as_(alice)
    assert client.get("/c/acme/domains/add/").status_code == 200
    answer = client.post("/c/acme/domains/add/", {"domain": "acme.test"})
    assert answer.status_code == 403
    assert b"not active yet" in answer.content


def test_a_change_under_suspension_is_refused_with_the_reason(as_, acme, alice, sam):
    acme.suspend(reason="Spam was sent.", by=sam)
    answer = as_(alice).post("/c/acme/domains/add/", {"domain": "acme.test"})
    assert answer.status_code == 403
    assert b"Spam was sent." in answer.content


def test_staff_without_a_second_factor_are_led_to_set_it_up(as_, person):
    weak = person("weak@example.test", is_staff=True, is_superuser=True)
    answer = as_(weak).get("/admin/")
    assert (answer.status_code, answer.url) == (302, reverse("mfa_index"))


def test_the_staff_pages_close_when_the_second_factor_is_taken_off(as_, sam):
    client = as_(sam)
    assert client.get("/admin/").status_code == 200
    client.post("/accounts/2fa/totp/deactivate/")
    assert client.get("/admin/").url == reverse("mfa_index")


def test_the_staff_pages_are_closed_to_others(as_, client, alice, sam):
    assert client.get("/admin/").status_code == 302
    assert as_(alice).get("/admin/").status_code == 403
    assert as_(sam).get("/admin/").status_code == 200


def test_the_decorator_hands_the_customer_to_the_view(acme, bob):
    from accounts.access import customer_page

    @customer_page(Permission.CUSTOMER_READ)
    def page(request):
        return HttpResponse(f"{request.customer.username} {request.role}")

    request = RequestFactory().get("/")
    request.user = bob
    assert page(request, customer="acme").content == b"acme reader"


@pytest.mark.parametrize("name", ["ACME", "acme'", "a%20b", "../x", "a\n"])
def test_a_hostile_customer_name_is_just_unknown(as_, mallory, name):
    assert as_(mallory).get(f"/c/{name}/").status_code == 404
