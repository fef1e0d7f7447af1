"""Who belongs to several customers goes from one to another in one step, on every page."""

from accounts.models import Customer, Role


def belong(user, count):
    customers = [Customer(username=f"c{number:04}", name=f"Customer {number}") for number in range(count)]
    for customer in Customer.objects.bulk_create(customers):
        customer.memberships.create(user=user, role=Role.READER)


def head(client, path):
    return client.get(path).content.decode().split("</header>")[0]


def test_one_customer_needs_no_switch(as_, acme, alice):
    assert "Your services" not in head(as_(alice), "/c/acme/")


def test_every_page_leads_to_the_others(as_, acme, alice):
    belong(alice, 3)
    for path in ("/c/acme/", "/plans/", "/accounts/email/"):
        page = head(as_(alice), path)
        assert 'href="/c/c0002/"' in page
        assert "<details" in page
    assert "Acme Ltd" in head(as_(alice), "/c/acme/").split("</summary>")[0]


def test_hundreds_are_found_by_searching_at_the_same_cost(as_, acme, alice, django_assert_max_num_queries):
    belong(alice, 300)
    client = as_(alice)
    page = head(client, "/c/acme/")
    assert page.count('href="/c/') == 8
    assert "Search all" in page
    with django_assert_max_num_queries(8):
        everything = client.get("/accounts/home/?all=1").content.decode()
    assert everything.count('<p class="code">') == 100
    found = client.get("/accounts/home/", {"q": "customer 299"}).content.decode()
    assert found.count('<p class="code">') == 1
    assert "c0299" in found
    assert "None of your services" in client.get("/accounts/home/", {"q": "%"}).content.decode()


def test_nothing_of_others_is_found(as_, acme, other, alice):
    page = as_(alice).get("/accounts/home/", {"q": "oth"}).content.decode()
    assert "/c/other/" not in page
    assert "Other Inc" not in page
