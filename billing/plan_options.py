"""What a customer can choose from, beside what they have."""

from dataclasses import dataclass

from django.db.models import QuerySet

from billing.models import Plan, PlanVersion, Subscription
from billing.models.plan import Terms
from billing.money import format_money

MOST = 50


@dataclass(frozen=True)
class PlanOption:
    """A plan that is open, with its price of one period; `kind`: `own` as it was sold, `up` where it is as dear or dearer,
    `down` where it is cheaper, and then waits for the next period.
    """

    plan: Plan
    price: str
    kind: str


def open_plans() -> QuerySet[Plan]:
    return Plan.objects.filter(is_open=True)


def options_for(service: Subscription) -> list[PlanOption]:
    """Those that are sold by the period of the service."""
    found = []
    for plan in open_plans()[:MOST]:
        price = plan.price(service.period)
        if price is None or plan.currency != service.currency:
            continue
        is_own = plan.pk == service.plan_id and plan.terms == service.version.terms
        kind = "own" if is_own else "up" if price >= service.amount_minor else "down"
        found.append(PlanOption(plan, format_money(price, plan.currency), kind))
    return found


def limits_beside(now: PlanVersion, then: PlanVersion) -> list[tuple[str, str, str]]:
    """What is limited, to how much it is now, and would be then."""
    before, after = _limits(now), _limits(then)
    return [(what, before[what], after[what]) for what in before]


def _limits(terms: Terms) -> dict[str, str]:
    return {
        "Storage of all mailboxes together": f"{terms.storage_gb} GB",
        "Domains": _or_unlimited(terms.domains),
        "Mailboxes": _or_unlimited(terms.mailboxes),
        "Recipients a day, each mailbox": f"{terms.sends_per_day:,}",
    }


def _or_unlimited(limit: int | None) -> str:
    return "unlimited" if limit is None else f"{limit:,}"
