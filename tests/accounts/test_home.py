from accounts.models import Customer, Role, SuspensionCause


def test_one_customer_is_gone_to_at_once(as_, acme, alice):
    assert as_(alice).get("/accounts/home/").url == "/c/acme/"


def test_many_are_listed_at_the_same_cost(as_, acme, alice, sam, django_assert_max_num_queries):
    for number in range(20):
        customer = Customer.objects.create(username=f"c{number}", name=f"Customer {number}")
        customer.memberships.create(user=alice, role=Role.READER)
        customer.activate(by=None)
    acme.suspend(reason="Spam was sent.", by=sam)
    customer.suspend(reason="Unpaid.", by=None, cause=SuspensionCause.UNPAID)
    client = as_(alice)
    with django_assert_max_num_queries(8):
        page = client.get("/accounts/home/").content.decode()
    assert page.count(">Active<") == 19
    assert page.count(">Restricted<") == 1
    assert page.count(">Suspended<") == 1


def test_staff_without_a_service_are_led_to_their_work(as_, sam, alice):
    assert 'href="/admin/review/"' in as_(sam).get("/accounts/home/").content.decode()
    assert "/admin/" not in as_(alice).get("/accounts/home/").content.decode()
