"""What staff see of incidents: on their first page, in the list, and on a page of each."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from domains import tasks
from domains.look import Memory, look
from domains.models import Incident, IncidentKind, Pulse, close_incident, note_end, open_incident


@pytest.fixture
def halted(mx1):
    return open_incident(IncidentKind.HALTED, mx1.name, "A mark <was> never given.", server=mx1)


def first_page(client) -> str:
    return " ".join(client.get("/admin/").content.decode().split())


def test_calm_when_all_is_well(as_, sam, mx1):
    note_end("watch")
    text = first_page(as_(sam))
    assert "All is well." in text
    assert "Wants attention" not in text


def test_what_is_open_stands_first(as_, sam, mx1, halted):
    note_end("watch")
    text = first_page(as_(sam))
    for words in (
        "Wants attention",
        "Sync is halted",
        "A mark &lt;was&gt; never given.",
        halted.way_out[:60],
        f'href="/admin/domains/mailserver/{mx1.pk}/change/"',
        f'href="/admin/domains/incident/{halted.pk}/change/"',
    ):
        assert words in text, words
    assert "All is well" not in text
    assert text.index("Wants attention") < text.index("Orders and money")
    close_incident(IncidentKind.HALTED, mx1.name)
    assert "All is well." in first_page(as_(sam))


def test_a_silent_watch_is_not_calm(as_, sam):
    text = first_page(as_(sam))
    assert "The watch has never run." in text
    assert "All is well" not in text
    Pulse.objects.create(name="watch", at=timezone.now() - timezone.timedelta(minutes=2))
    assert "The watch is silent since" in first_page(as_(sam))


def test_a_hundred_are_counted(as_, sam, mx1, django_assert_max_num_queries):
    note_end("watch")
    for number in range(60):
        open_incident(IncidentKind.SERVICE, f"s{number}", "It does not answer.", server=mx1)
    client = as_(sam)
    with django_assert_max_num_queries(20):
        assert ">10 more</a>" in first_page(client)


def test_staff_without_the_right_see_nothing_of_it(as_, sam, halted):
    sam.is_superuser = False
    sam.save()
    sam.user_permissions.add(Permission.objects.get(codename="view_plan"))
    text = first_page(as_(sam))
    assert "halted" not in text
    assert "Incidents" not in text


def test_list_and_page(as_, sam, mx1, halted):
    rows = [["mailbox", f"{number:032x}", "password hash"] for number in range(250)]
    found = open_incident(IncidentKind.DIFFERENT, mx1.name, "Rows differed.", server=mx1, rows=rows)
    with CaptureQueriesContext(connection) as queries:
        as_(sam).get("/admin/domains/incident/")
        as_(sam).get("/admin/")
        look(timezone.now(), Memory())
    assert not [query["sql"] for query in queries if '"domains_incident"."rows"' in query["sql"]]
    close_incident(IncidentKind.HALTED, mx1.name)
    client = as_(sam)
    listed = client.get("/admin/domains/incident/?state=open").content.decode()
    assert f"/admin/domains/incident/{found.pk}/change/" in listed
    assert f"/admin/domains/incident/{halted.pk}/change/" not in listed
    listed = client.get("/admin/domains/incident/?state=closed").content.decode()
    assert f"/admin/domains/incident/{halted.pk}/change/" in listed
    page = f"/admin/domains/incident/{found.pk}/change/"
    first, last = (
        client.get(f"{page}?rows={number}").content.decode() for number in (1, "3 and what else there is")
    )
    assert first.count("password hash") == last.count("password hash") == 100
    third = client.get(f"{page}?rows=3").content.decode()
    assert third.count("password hash") == 50
    assert found.way_out[:40] in third
    assert client.post(page, {}).status_code == 403


def test_what_is_over_for_a_year_is_forgotten(mx1, halted):
    old = open_incident(IncidentKind.SILENT, mx1.name, "It says nothing.", server=mx1)
    year = timezone.now() - timezone.timedelta(days=366)
    Incident.objects.filter(pk=old.pk).update(opened_at=year, closed_at=year)
    Incident.objects.filter(pk=halted.pk).update(opened_at=year)
    tasks.sweep_tombstones()
    assert list(Incident.objects.all()) == [halted]
