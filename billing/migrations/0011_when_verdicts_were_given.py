from django.db import migrations
from django.db.models import F


def fill_in(apps, schema_editor):
    """Verdicts from before were given when their check was answered; reports without an answer say so themselves."""
    checks = apps.get_model("billing", "FraudCheck").objects
    checks.filter(count__isnull=False, verdict_at=None).update(verdict_at=F("answered_at"))
    reports = apps.get_model("billing", "FraudReport").objects
    reports.filter(sent_at=None, problem__contains="may have arrived").update(is_unclear=True)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0010_fraudrecord_whole"),
    ]

    operations = [
        migrations.RunPython(fill_in, migrations.RunPython.noop),
    ]
