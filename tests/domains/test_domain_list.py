from django.utils import timezone

from tests.domains.conftest import BASE


def test_many_domains_come_in_pages_at_the_same_cost(as_, alice, served, django_assert_max_num_queries):
    for number in range(120):
        served.domains.create(name=f"d{number:03}.test")
    client = as_(alice)
    with django_assert_max_num_queries(10):
        page = client.get(BASE).content.decode()
    assert "d049.test" in page
    assert "d050.test" not in page
    assert "?after=d049.test" in page
    last = client.get(f"{BASE}?after=d099.test").content.decode()
    assert "d119.test" in last
    assert "?after=" not in last


def test_deleted_ones_have_pages_of_their_own(as_, alice, served, django_assert_max_num_queries):
    for number in range(120):
        served.domains.create(name=f"d{number:03}.test", deleted_at=timezone.now())
    served.domains.create(name="live.test")
    client = as_(alice)
    with django_assert_max_num_queries(10):
        page = client.get(BASE).content.decode()
    assert "d049.test" in page
    assert "d050.test" not in page
    assert "?deleted_after=d049.test" in page
    last = client.get(f"{BASE}?deleted_after=d099.test").content.decode()
    assert "d119.test" in last
    assert "live.test" in last
    assert "?deleted_after=" not in last
    assert "d000.test" not in client.get(f"{BASE}?after=a").content.decode()
    assert "No further deleted" in client.get(f"{BASE}?deleted_after=e").content.decode()


def test_hostile_page(as_, alice, served):
    for name in ("after", "deleted_after"):
        for value in ("\x00", "'; --", "x" * 5000, "%"):
            assert as_(alice).get(BASE, {name: value}).status_code in (200, 400)


def test_stranger_gets_404(as_, mallory, other, served):
    assert as_(mallory).get(BASE).status_code == 404


def test_nothing_yet_says_what_to_do(as_, alice, served):
    assert b"Add the first domain" in as_(alice).get(BASE).content
