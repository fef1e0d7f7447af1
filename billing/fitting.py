"""Whether what a customer uses fits a version of a plan. Apps above say how much there is of what they hold."""

from collections.abc import Callable

from django.template.defaultfilters import filesizeformat

from accounts.models import Customer
from billing.entitlements import Feature, usage_report
from billing.models.plan import PlanVersion

_counters: dict[Feature, tuple[str, Callable[[Customer], int]]] = {}


def count_by(feature: Feature, things: str, counter: Callable[[Customer], int]) -> None:
    """Let `counter` say how many there are of the `things` that this feature limits."""
    _counters[feature] = (things, counter)


def too_much(customer: Customer, version: PlanVersion) -> list[str]:
    """A sentence for each limit that is in the way; none where everything fits."""
    found = []
    used, _ = usage_report(customer)
    if used > version.storage_mb << 20:
        room = filesizeformat(version.storage_mb << 20)
        found.append(f"It holds {room}, and {filesizeformat(used)} are used.")
    for feature, (things, counter) in _counters.items():
        allowed = getattr(version, feature.value)
        if allowed is not None and (present := counter(customer)) > allowed:
            found.append(f"It holds {allowed} {things}, and {present} are there.")
    return found
