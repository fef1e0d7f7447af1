"""An order that was begun: kept with the person, found on every device, gone when it is sent, discarded or old."""

import json
from collections.abc import Callable
from datetime import timedelta

from django.test import Client
from django.utils import timezone

from accounts import privacy
from accounts.models import User
from billing.models import Order, OrderDraft
from billing.tasks import sweep_drafts
from foundation.unit_of_work import unit_of_work
from tests.conftest import PASSWORD

AsPerson = Callable[[User], Client]


def test_works(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    client = as_(mallory)
    half = fields | {"step": "save", "street": "", "terms": "", "phone": "1", "name": "Nora North"}
    answer = client.post("/order/", half)
    assert (answer.status_code, answer["Location"]) == (302, "/order/")
    elsewhere = as_(mallory).get("/order/").content.decode()
    assert 'value="Nora North"' in elsewhere
    assert "that you began" in elsewhere
    assert "phone" not in OrderDraft.objects.get().fields  # what is wrong is not kept
    assert Order.objects.count() == 0


def test_it_is_of_one_person(as_: AsPerson, mallory: User, alice: User, fields: dict[str, str]) -> None:
    as_(mallory).post("/order/", fields | {"step": "save", "street": "7 Kept Lane"})
    assert "7 Kept Lane" not in as_(alice).get("/order/").content.decode()
    assert "7 Kept Lane" not in Client().get("/order/").content.decode()
    as_(alice).post("/order/", {"step": "discard"})
    as_(alice).post("/order/", fields)
    assert "7 Kept Lane" in as_(mallory).get("/order/").content.decode()


def test_twice_is_one_draft(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    for street in ("1 First Road", "2 Second Road"):
        as_(mallory).post("/order/", fields | {"step": "save", "street": street})
    assert OrderDraft.objects.get().fields["street"] == "2 Second Road"


def test_a_link_to_a_plan_chooses_it_in_the_draft(
    as_: AsPerson, mallory: User, fields: dict[str, str]
) -> None:
    as_(mallory).post("/order/", fields | {"step": "save", "street": "7 Kept Lane"})
    html = " ".join(as_(mallory).get("/order/?plan=100gb").content.decode().split())
    assert 'value="7 Kept Lane"' in html
    assert 'value="100gb" required id="id_plan_3" checked' in html


def test_discarding(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    client = as_(mallory)
    client.post("/order/", fields | {"step": "save"})
    for _ in range(2):
        assert client.post("/order/", {"step": "discard"})["Location"] == "/order/"
    assert not OrderDraft.objects.exists()


def test_placing_ends_it(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    client = as_(mallory)
    client.post("/order/", fields | {"step": "save"})
    client.post("/order/", fields)
    assert Order.objects.count() == 1
    assert not OrderDraft.objects.exists()


def test_a_visitors_is_the_persons_from_signing_in_on(
    client: Client, alice: User, fields: dict[str, str]
) -> None:
    OrderDraft.objects.create(user=alice, fields={"street": "1 Older Road"})
    client.post("/order/", fields | {"street": "7 Kept Lane"})
    assert OrderDraft.objects.get().fields == {"street": "1 Older Road"}  # nothing of a visitor, until then
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert OrderDraft.objects.get().fields["street"] == "7 Kept Lane"
    assert "order_draft" not in client.session


def test_a_visitor_who_saves_is_asked_to_sign_up(client: Client, db: None, fields: dict[str, str]) -> None:
    answer = client.post("/order/", fields | {"step": "save", "street": ""})
    assert answer["Location"] == "/accounts/signup/?next=%2Forder%2F"
    assert client.session["order_draft"]["city"] == "Springfield"


def test_what_is_no_part_of_the_form_or_too_long_is_not_kept(
    as_: AsPerson, mallory: User, fields: dict[str, str]
) -> None:
    hostile = {"street": "x" * 65536, "city": "nul\0", "began": "y" * 65536, "other": "z", "name": "a\nb"}
    as_(mallory).post("/order/", fields | hostile | {"step": "save"})
    kept = OrderDraft.objects.get().fields
    assert not {"street", "city", "began", "other", "name", "step", "submission"} & kept.keys()
    assert len(json.dumps(kept)) < 1000


def test_after_thirty_days_it_is_gone(as_: AsPerson, mallory: User, fields: dict[str, str]) -> None:
    as_(mallory).post("/order/", fields | {"step": "save"})
    OrderDraft.objects.update(saved_at=timezone.now() - timedelta(days=29, hours=23))
    sweep_drafts()
    assert OrderDraft.objects.count() == 1
    OrderDraft.objects.update(saved_at=timezone.now() - timedelta(days=30, hours=1))
    sweep_drafts()
    assert OrderDraft.objects.count() == 0


def test_it_is_handed_out_and_erased_with_the_person(
    as_: AsPerson, mallory: User, fields: dict[str, str]
) -> None:
    as_(mallory).post("/order/", fields | {"step": "save", "street": "7 Kept Lane"})
    told = json.loads("".join(dict(privacy.export_person(mallory))["billing"]))
    assert told["draft"]["street"] == "7 Kept Lane"
    with unit_of_work():
        privacy.erase_person(mallory)
    assert not OrderDraft.objects.exists()
