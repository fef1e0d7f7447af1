"""How often a subscription is paid can be changed."""

from django.db import migrations, models

PERIODS = [("monthly", "Monthly"), ("yearly", "Yearly")]


class Migration(migrations.Migration):
    dependencies = [("billing", "0038_unpaid_days_of_a_return")]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="anchor_months",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="That it was paid by another period before the one of this number.",
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="coming_period",
            field=models.CharField(
                blank=True,
                choices=PERIODS,
                db_default="",
                default="",
                help_text="By which the period is sold that has not begun; empty: as those before.",
                max_length=7,
            ),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="anchor_number",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                help_text="Of the period that begins there, or so many months later.",
            ),
        ),
        migrations.AddConstraint(
            model_name="subscription",
            constraint=models.CheckConstraint(
                condition=models.Q(coming_period__in=["", "monthly", "yearly"]),
                name="subscription_coming_period_known",
            ),
        ),
    ]
