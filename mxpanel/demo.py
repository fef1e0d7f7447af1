"""The demo data of the local stack: two customers, their people and mailboxes, and one of the staff.

Everything is made by the verbs that pages use, and loading it again changes nothing that is there.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import settings

from accounts.key_lookup import find_key
from accounts.keys import add_key, rights_to_give
from accounts.models import Customer, Role, User
from billing.models import Coupon, Order, Plan
from billing.ordering import place_order
from billing.screening import check_order
from billing.submissions import Submission
from domains.models import Domain, MailServer, Placement, add_domain

CUSTOMERS: dict[str, dict[str, Any]] = {
    "acme": {
        "owner": ("alice", "Alice Able"), "reader": ("bob", "Bob Baker"), "company": "Acme Ltd", "plan": "25gb",
        "domain": "acme.test", "mailboxes": {"anna": "Anna Archer", "ben": "Ben Bell"}, "street": "1 Anvil Road",
        "city": "Leeds", "postcode": "LS1 4AP", "country": "GB", "phone": "+44 113 496 0000",
    },
    "globex": {
        "owner": ("mallory", "Mallory Moore"), "reader": None, "company": "Globex Inc", "plan": "10gb",
        "domain": "globex.test", "mailboxes": {"carl": "Carl Cole"}, "street": "2 Reactor Avenue",
        "city": "Springfield", "postcode": "97475", "country": "US", "phone": "+1 541 555 0100",
    },
}  # fmt: skip


class Demo:
    """Loads the demo data; passwords are drawn once and kept in the credentials file."""

    def __init__(self, credentials: Path) -> None:
        self.path = credentials
        self.known: dict[str, Any] = json.loads(credentials.read_text()) if credentials.exists() else {}
        self.known.setdefault("sign_ins", {})
        self.known.setdefault("passwords", {})

    def load(self) -> None:
        staff = self._staff()
        Coupon.objects.get_or_create(code="WELCOME-20", defaults={"percent": 20, "periods": 1})
        for username, facts in CUSTOMERS.items():
            self._customer(username, facts, staff)
        self._sign_in("reseller", {})
        self.known["mailboxes"] = [
            {"address": address, "password": self.known["passwords"][address]}
            for address in mailbox_addresses()
        ]
        self._save()

    def _staff(self) -> User:
        staff = self._person("sam", "Sam Staff", is_staff=True, is_superuser=True)
        secret = self.known["sign_ins"].get("staff", {}).get("totp_secret") or generate_totp_secret()
        if not Authenticator.objects.filter(user=staff, type=Authenticator.Type.TOTP).exists():
            TOTP.activate(staff, secret)
        self._sign_in("staff", {**self._account(staff), "totp_secret": secret})
        return staff

    def _customer(self, username: str, facts: dict[str, Any], staff: User) -> None:
        owner = self._person(*facts["owner"])
        order = self._order(username, facts, owner)
        self._activate(order, staff)
        customer = Customer.objects.get(username=username)
        self._sign_in(
            "customer" if username == "acme" else "stranger", {**self._account(owner), "customer": username}
        )
        if facts["reader"]:
            reader = self._person(*facts["reader"])
            customer.add_member(reader, Role.READER, by=owner)
            self._sign_in("reader", {**self._account(reader), "customer": username})
        self._mail(customer, facts, owner)
        if username == "acme":
            self._api_key(customer, owner)

    def _order(self, username: str, facts: dict[str, Any], owner: User) -> Order:
        existing = Order.objects.filter(customer__username=username).first()
        if existing:
            return existing
        details = {
            "plan": Plan.objects.get(slug=facts["plan"]), "period": "yearly",
            "username": username, "name": owner.name, "region": "",
            **{key: facts[key] for key in ("company", "domain", "street", "city", "postcode", "country", "phone")},
        }  # fmt: skip
        token = f"demo-data-of-{username}"
        submission = Submission(token, f"demo {username}", is_given=True)
        return place_order(details, by=owner, client_address="127.0.0.1", submission=submission)

    def _activate(self, order: Order, staff: User) -> None:
        check_order(order.pk)
        order = Order.objects.get(pk=order.pk)
        if order.status == "review":
            order.approve("Demo data", by=staff)
        order = Order.objects.get(pk=order.pk)
        if order.status == "unpaid":
            last = MailServer.objects.order_by("-name").first()
            if last and order.customer.username == "globex":  # so that two servers have mail for each other
                Placement.objects.get_or_create(
                    customer=order.customer, defaults={"server": last, "by": staff}
                )
            order.record_payment(
                method="bank_transfer", reference="Demo data",
                amount_minor=order.due_minor, currency=order.currency, by=staff,
                submission=Submission(f"demo-payment-{order.number}", "demo", is_given=True),
            )  # fmt: skip

    def _mail(self, customer: Customer, facts: dict[str, Any], owner: User) -> None:
        domain = customer.domains.filter(deleted_at=None, name=facts["domain"]).first()
        domain = domain or add_domain(customer, facts["domain"], by=owner)
        for local_part, name in facts["mailboxes"].items():
            address = f"{local_part}@{domain.name}"
            password = self._password(address)
            if not domain.mailboxes.filter(local_part=local_part, deleted_at=None).exists():
                domain.add_mailbox(local_part, password, 1024, name, by=owner)

    def _api_key(self, customer: Customer, owner: User) -> None:
        """A key for everything, made once more where the one that is known works no more."""
        keys = self.known.setdefault("api_keys", {"customer": {}, "reseller": {}})
        known = keys["customer"].get("key", "")
        if find_key(known) is None:
            rights = [right.value for right in rights_to_give(Role.OWNER)]
            _, known = add_key(customer, "Demo data", rights, [], None, by=owner)
        server = Placement.objects.get(customer=customer).server.name
        keys["customer"] = {"server": server, "username": customer.username, "key": known}
        self._save()

    def _person(self, local_part: str, name: str, **fields: Any) -> User:
        email = f"{local_part}@people.{settings.MAIL_DOMAIN}"
        password = self._password(email)
        user = User.objects.filter(email=email).first() or User.objects.create_user(
            email, password, name=name, **fields
        )
        EmailAddress.objects.get_or_create(
            user=user, email=email, defaults={"verified": True, "primary": True}
        )
        return user

    def _account(self, user: User) -> dict[str, str]:
        return {"email": user.email, "password": self.known["passwords"][user.email]}

    def _password(self, name: str) -> str:
        """The password of this person or mailbox; saved before it is used, so that no restart forgets it."""
        if name not in self.known["passwords"]:
            self.known["passwords"][name] = secrets.token_urlsafe(12)
            self._save()
        return self.known["passwords"][name]

    def _sign_in(self, role: str, facts: dict[str, Any]) -> None:
        self.known["sign_ins"][role] = facts
        self._save()

    def _save(self) -> None:
        partial = self.path.with_suffix(".part")
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(self.known, file, indent=1)
        partial.replace(self.path)


def mailbox_addresses() -> list[str]:
    return [f"{local}@{facts['domain']}" for facts in CUSTOMERS.values() for local in facts["mailboxes"]]


def demo_domains() -> list[Domain]:
    names = [facts["domain"] for facts in CUSTOMERS.values()]
    return list(Domain.objects.filter(name__in=names, deleted_at=None))
