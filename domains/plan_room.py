"""Whether a customer's plan has room for more, asked in the transaction that takes it."""

from django.core.exceptions import ValidationError
from django.db.models import Count, Q

from accounts.models import Customer
from billing.entitlements import Feature, limit

QUOTA_MOST_MB = 100 * 2**20  # 100 TB


class OfPlan(str):
    """Why the plan is in the way, in words; pages put behind it how to get a larger one (`partials/larger_plan.html`)."""

    is_of_plan = True

    def __str__(self) -> str:
        return self


def check_quota(quota_mb: int, allowed: int | None) -> None:
    """Refuse a quota above the plan's storage; several quotas may add up to more than it."""
    if not 0 <= quota_mb <= QUOTA_MOST_MB or (allowed is not None and quota_mb > allowed):
        most = QUOTA_MOST_MB if allowed is None else allowed
        text = f"Your plan holds {most} MB. Choose at most that, or 0 for all that it holds."
        raise ValidationError({"quota_mb": ValidationError(OfPlan(text), code="limit")})


def lock(customer: Customer) -> None:
    """Let one change of this customer's at a time pass from here to COMMIT, so that two cannot both take the
    last place of its plan. Stamping (which takes KEY SHARE) is not held up.
    """
    Customer.objects.select_for_update(no_key=True).only("pk").get(pk=customer.pk)


def check_room_for_domain(customer: Customer) -> None:
    """Refuse one domain more than the plan holds; the customer is locked."""
    allowed = limit(customer, Feature.DOMAINS)
    if allowed is not None and domains_of(customer) >= allowed:
        raise ValidationError(
            OfPlan(
                f"Your plan holds {allowed} domains, and all are taken. Delete one, or take a larger plan."
            ),
            code="limit",
        )


def no_room_for_mailboxes(customer: Customer, more: int, allowed: int | None) -> str:
    """Why the plan has no room for `more` mailboxes, in words; empty when it has."""
    return _full(mailboxes_of(customer), more, allowed) if more and allowed is not None else ""


def domains_of(customer: Customer) -> int:
    return int(customer.domains.live().count())


def mailboxes_of(customer: Customer) -> int:
    mailboxes = Count("mailboxes", filter=Q(mailboxes__deleted_at=None))
    return int(customer.domains.live().aggregate(present=mailboxes)["present"])


def _full(present: int, more: int, allowed: int | None) -> str:
    if allowed is None or present + more <= allowed:
        return ""
    return OfPlan(
        f"Your plan holds {allowed} mailboxes, and {present} are there. Delete some, or take a larger plan."
    )


class Room:
    """The plan's room for mailboxes, counted once, while the customer stays locked until COMMIT."""

    def __init__(self, customer: Customer) -> None:
        self.allowed = limit(customer, Feature.MAILBOXES)
        self.present = 0
        if self.allowed is not None:
            lock(customer)
            self.present = mailboxes_of(customer)

    def take(self) -> None:
        """One place; ValidationError where there is none."""
        if why := _full(self.present, 1, self.allowed):
            raise ValidationError(why, code="limit")
        self.present += 1


def check_room_for_mailboxes(customer: Customer, more: int, allowed: int | None) -> None:
    """Refuse more mailboxes than the `allowed` of the plan. Locks the customer where there is a limit, and only there,
    so that customers without one may add several at a time.
    """
    if allowed is None or not more:
        return
    lock(customer)
    if why := no_room_for_mailboxes(customer, more, allowed):
        raise ValidationError(why, code="limit")
