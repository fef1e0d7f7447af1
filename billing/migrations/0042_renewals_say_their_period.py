"""What was sold before it said by which period was sold by that of its subscription, which could not change."""

from django.db import migrations, models

FILL = """
UPDATE billing_renewal r SET period = s.period FROM billing_subscription s WHERE s.id = r.subscription_id AND r.period = ''
"""
AGAIN = "ALTER TABLE billing_renewal DROP CONSTRAINT IF EXISTS renewal_period_known"


class Migration(migrations.Migration):
    # Each statement for itself, so that none waits for a program that waits for the one before; it can be repeated.
    atomic = False

    dependencies = [("billing", "0041_renewals_have_a_period")]

    operations = [
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(AGAIN, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="renewal",
            constraint=models.CheckConstraint(
                condition=models.Q(period__in=["monthly", "yearly"]), name="renewal_period_known"
            ),
        ),
    ]
