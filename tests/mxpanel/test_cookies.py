"""The panel sets the two cookies that the privacy notice names, and no other."""

from django.test import Client

from accounts.models import User
from tests.conftest import PASSWORD


def test_a_visitor_who_signs_in_and_is_told_things_gets_two(client: Client, alice: User) -> None:
    client.get("/accounts/login/")
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    client.get("/accounts/logout/")
    client.post("/accounts/logout/")
    client.get("/accounts/login/")
    assert set(client.cookies) == {"csrftoken", "sessionid"}
