"""The list of members, of any length, and one member's page."""

from accounts.models import Role


def test_its_queries_do_not_grow(as_, acme, alice, person, django_assert_max_num_queries):
    for number in range(55):
        acme.memberships.create(user=person(f"p{number}@example.test"), role=Role.READER)
    for number in range(20):
        acme.invite_member(f"i{number}@example.test", Role.READER, by=alice)
    client = as_(alice)
    with django_assert_max_num_queries(10):
        page = client.get("/c/acme/members/").content.decode()
    assert page.count("@example.test</a>") == 50
    assert "p54@" not in page
    rest = client.get("/c/acme/members/", {"after": acme.memberships.order_by("pk")[49].pk}).content.decode()
    assert "p54@" in rest
    assert client.get("/c/acme/members/?after=x").status_code == 200
    assert client.get(f"/c/acme/members/?after={'9' * 40}").status_code == 200


def test_readers_see_members_and_no_invitations(as_, acme, alice, bob):
    acme.invite_member("new@example.test", Role.READER, by=alice)
    page = as_(bob).get("/c/acme/members/").content.decode()
    assert "alice@example.test" in page
    assert "new@example.test" not in page


def test_a_members_page_offers_what_the_reader_of_it_may(as_, acme, other, alice, bob, dave):
    path = f"/c/acme/members/{acme.memberships.get(user=alice).pk}/"
    page = as_(alice).get(path).content.decode()
    assert 'name="role"' in page
    assert "None" not in page
    for who in (bob, dave):
        page = as_(who).get(path).content.decode()
        assert 'data-status="owner"' in page
        assert 'name="role"' not in page
    foreign = f"/c/acme/members/{other.memberships.get().pk}/"
    assert as_(alice).get(foreign).status_code == 404
