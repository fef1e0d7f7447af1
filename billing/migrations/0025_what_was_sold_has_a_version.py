"""Each plan has the version that it is now, and what was sold before there were versions was sold by that."""

from typing import Any

from django.db import migrations
from django.db.models import OuterRef, Subquery
from django.utils import timezone

TERMS = (
    "storage_mb",
    "mailboxes",
    "domains",
    "sends_per_day",
    "currency",
    "monthly_minor",
    "yearly_minor",
)


def write_versions(apps: Any, schema_editor: Any) -> None:
    made_at = timezone.now().replace(microsecond=0)  # as dumps keep it, so that the same can be loaded again
    version = apps.get_model("billing", "PlanVersion")
    for plan in apps.get_model("billing", "Plan").objects.filter(versions=None):
        version.objects.create(
            plan=plan, number=1, made_at=made_at, **{name: getattr(plan, name) for name in TERMS}
        )
    first = version.objects.filter(plan=OuterRef("plan"), number=1).values("pk")[:1]
    for model in ("Order", "Subscription", "Renewal"):
        apps.get_model("billing", model).objects.filter(version=None).update(version_id=Subquery(first))


class Migration(migrations.Migration):
    # Each statement for itself, so that none waits for a program that waits for the one before; it can be repeated.
    atomic = False

    dependencies = [("billing", "0024_plan_versions")]

    operations = [migrations.RunPython(write_versions, migrations.RunPython.noop)]
