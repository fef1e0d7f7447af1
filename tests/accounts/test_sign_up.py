"""A stranger signs up; the address is confirmed by a POST; nobody learns who has an account."""

import re

import pytest
from django.conf import settings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail

from accounts.models import User

STRONG = "plenty-of-entropy-7391"


def sign_up(client, email="new@example.test", password=STRONG):
    return client.post("/accounts/signup/", {"email": email, "password1": password, "password2": password})


def confirmation_path() -> str:
    link = re.escape(settings.PANEL_URL) + r"(/accounts/confirm-email/[^/\s]+/)"
    return re.search(link, mail.outbox[-1].body)[1]


def test_it_works_and_ends_signed_in_in_the_same_browser(client, db):
    assert sign_up(client).status_code == 302
    path = confirmation_path()
    assert client.get(path).status_code == 200
    assert not User.objects.get().emailaddress_set.get().verified
    answer = client.post(path)
    assert answer.status_code == 302
    assert User.objects.get().emailaddress_set.get().verified
    assert client.get("/accounts/home/").status_code == 200


def test_another_browser_ends_at_the_sign_in(client, db):
    sign_up(client)
    path = confirmation_path()
    other = type(client)()
    answer = other.post(path)
    assert (answer.status_code, answer.url.split("?")[0]) == (302, "/accounts/login/")


def test_nobody_signs_in_before_confirming(client, db):
    sign_up(client)
    other = type(client)()
    other.post("/accounts/login/", {"login": "new@example.test", "password": STRONG})
    assert other.get("/accounts/home/").status_code == 302


@pytest.mark.parametrize("password", ["short7!", "password", "12345678", "x" * 129])
def test_weak_passwords_are_refused(client, db, password):
    assert sign_up(client, password=password).status_code == 200
    assert not User.objects.exists()


@pytest.mark.parametrize("password", ["all lower case words", "пароль-подлиннее", "x9" * 64])
def test_composition_does_not_matter(client, db, password):
    assert sign_up(client, password=password).status_code == 302


class Counting(MD5PasswordHasher):
    """Counts how often a password is hashed, which is what takes the time."""

    count = 0

    def encode(self, password, salt):
        Counting.count += 1
        return super().encode(password, salt)


@pytest.mark.parametrize(
    ("path", "field", "extra"),
    [
        ("/accounts/signup/", "email", {"password1": STRONG, "password2": STRONG}),
        ("/accounts/login/", "login", {"password": "wrong-7391-wrong"}),
        ("/accounts/password/reset/", "email", {}),
    ],
)
def test_the_time_tells_nothing(client, settings, person, path, field, extra):
    settings.PASSWORD_HASHERS = [f"{__name__}.Counting"]
    person("known@example.test")
    costs = []
    for address in ("known@example.test", "unknown@example.test"):
        Counting.count = 0
        client.post(path, {field: address, **extra})
        costs.append((Counting.count, len(mail.outbox)))
        mail.outbox.clear()
    assert costs[0] == costs[1]


def test_a_robot_is_told_that_all_went_well(client, db):
    form = {
        "email": "new@example.test",
        "password1": STRONG,
        "password2": STRONG,
        "website": "https://x.test",
    }
    answer = client.post("/accounts/signup/", form)
    assert (answer.status_code, answer.url) == (302, "/accounts/confirm-email/")
    assert not User.objects.exists()
    assert not mail.outbox


def test_a_known_address_gets_the_same_answer_and_a_mail(client, alice):
    answer = sign_up(client, email="alice@example.test")
    fresh = sign_up(type(client)(), email="new@example.test")
    assert (answer.status_code, answer.url) == (fresh.status_code, fresh.url)
    assert [message.to for message in mail.outbox] == [["alice@example.test"], ["new@example.test"]]


def test_links_name_the_configured_host(client, db, settings):
    settings.ALLOWED_HOSTS = ["*"]
    client.post(
        "/accounts/signup/",
        {"email": "n@example.test", "password1": STRONG, "password2": STRONG},
        HTTP_HOST="evil.test",
    )
    assert "evil.test" not in mail.outbox[-1].body
    assert f"{settings.PANEL_URL}/accounts/confirm-email/" in mail.outbox[-1].body


def test_staff_sign_in_with_a_code(client, sam):
    from tests.codes import code_now
    from tests.conftest import PASSWORD

    answer = client.post("/accounts/login/", {"login": sam.email, "password": PASSWORD})
    assert answer.url.startswith("/accounts/2fa/authenticate/")
    assert client.post(answer.url, {"code": code_now()}).status_code == 302
    assert client.get("/admin/").status_code == 200


def test_the_secret_of_a_second_factor_is_encrypted(sam):
    from tests.conftest import TOTP_SECRET

    assert TOTP_SECRET not in str(sam.authenticator_set.get().data)
