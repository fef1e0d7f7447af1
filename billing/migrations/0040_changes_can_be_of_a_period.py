"""A planned change may name a period."""

from django.db import migrations, models

PERIODS = [("monthly", "Monthly"), ("yearly", "Yearly")]


class Migration(migrations.Migration):
    dependencies = [("billing", "0039_subscriptions_can_be_paid_by_another_period")]

    operations = [
        migrations.AddField(
            model_name="planchange",
            name="period",
            field=models.CharField(
                blank=True,
                choices=PERIODS,
                db_default="",
                default="",
                help_text="Empty: as before.",
                max_length=7,
            ),
        ),
        migrations.AddConstraint(
            model_name="planchange",
            constraint=models.CheckConstraint(
                condition=models.Q(period__in=["", "monthly", "yearly"]), name="plan_change_period_known"
            ),
        ),
    ]
