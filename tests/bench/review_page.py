"""Time and queries of the review desk: its queue and an order of which there is much to tell, among many. Run by `pages`
on a database of its own.
"""

import time
from dataclasses import replace

from django.test import Client

from accounts.models import User
from billing.models import Order, Plan
from billing.ordering import place_order
from billing.screening import check_order
from billing.submissions import Submission
from tests.bench import page_times
from tests.bench.figures import figure
from tests.bench.page_times import Page, count, in_process, timed
from tests.bench.stack import Stack

ORDERS = 200
REJECTED = 20
MESSAGES = 10
PAGES = [
    Page("queue of the review desk", "/admin/review/", "", queries_goal="<= 12"),
    Page("page of an order in review", "/admin/review/{number}/", "", queries_goal="<= 12"),
]


def run(_: Stack) -> None:
    page_times.fill()
    number = add_orders()
    session = staff_session()
    for page in PAGES:
        get = in_process(replace(page, path=page.path.format(number=number)), session)
        figure(f"{page.name}, queries", count(get)[0], "queries", n=1, goal=page.queries_goal)
        figure(f"{page.name}, p50", timed(get), "ms", n=page_times.REQUESTS, goal=page.goal)


def add_orders() -> str:
    """The number of the last: by the same person as all the others, from the network of the rejected, asked and
    answered about again and again.
    """
    owner, staff = User.objects.get(email__startswith="alice@"), User.objects.get(is_staff=True)
    for number in range(ORDERS):
        order = placed(number, owner)
        if number < REJECTED:
            order.reject("Not this one.", by=staff)
    for number in range(MESSAGES):
        order.ask_question(f"Question {number}?", by=staff)
        Order.objects.get(pk=order.pk).answer_question(f"Answer {number}.", by=owner)
        order = Order.objects.get(pk=order.pk)
    return str(order.number)


def placed(number: int, owner: User) -> Order:
    details = {
        "plan": Plan.objects.get(slug="10gb"), "period": "yearly", "username": f"r{number:04}", "name": owner.name,
        "company": "Review Ltd", "domain": f"r{number:04}.test", "street": "1 Anvil Road", "city": "Leeds",
        "region": "", "postcode": "LS1 4AP", "country": "GB", "phone": "+44 113 496 0000",
    }  # fmt: skip
    submission = Submission(f"bench-{number}", f"bench {number}", is_given=True)
    order = place_order(details, by=owner, client_address="192.0.2.7", submission=submission)
    check_order(order.pk)
    return Order.objects.get(pk=order.pk)


def staff_session() -> str:
    """The session key of somebody of the staff who has given the second factor just now."""
    client, staff = Client(), User.objects.get(is_staff=True)
    client.force_login(staff, "allauth.account.auth_backends.AuthenticationBackend")
    session = client.session
    given = [{"method": "password", "email": staff.email}, {"method": "mfa", "type": "totp"}]
    session["account_authentication_methods"] = [{**method, "at": time.time()} for method in given]
    session["account_authentication_methods_user"] = str(staff.pk)
    session.save()
    return str(session.session_key)
