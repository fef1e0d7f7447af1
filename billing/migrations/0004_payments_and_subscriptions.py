import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import billing.money


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0003_fraud_checks_and_reports"),
    ]

    operations = [
        migrations.CreateModel(
            name="Payment",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="payments",
                        to="billing.order",
                    ),
                ),
                (
                    "method",
                    models.CharField(
                        choices=[("bank_transfer", "Bank transfer"), ("other", "Other")], max_length=13
                    ),
                ),
                ("reference", models.CharField(blank=True, max_length=100)),
                ("amount_minor", models.PositiveIntegerField()),
                ("currency", billing.money.CurrencyField(default="USD", max_length=3)),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("submission", models.CharField(default=uuid.uuid4, editable=False, max_length=64)),
                ("fingerprint", models.CharField(blank=True, editable=False, max_length=64)),
            ],
            options={
                "ordering": ["at"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0)), name="payment_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="payment_currency_form"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("method__in", ["bank_transfer", "other"])),
                        name="payment_method_known",
                    ),
                    models.UniqueConstraint(fields=("order", "submission"), name="payment_submitted_once"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Subscription",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subscriptions",
                        to="accounts.customer",
                    ),
                ),
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subscription",
                        to="billing.order",
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="subscriptions",
                        to="billing.plan",
                    ),
                ),
                (
                    "period",
                    models.CharField(choices=[("monthly", "Monthly"), ("yearly", "Yearly")], max_length=7),
                ),
                ("amount_minor", models.PositiveIntegerField(help_text="Price of one period, as sold.")),
                ("currency", billing.money.CurrencyField(default="USD", max_length=3)),
                (
                    "started_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, help_text="Periods are counted from here."
                    ),
                ),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("customer",),
                        name="subscription_one_running",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("period__in", ["monthly", "yearly"])),
                        name="subscription_period_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ended_at", None), ("ended_at__gte", models.F("started_at")), _connector="OR"
                        ),
                        name="subscription_ends_after_start",
                    ),
                ],
            },
        ),
    ]
