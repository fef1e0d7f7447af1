import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import billing.models.order
import billing.money
import billing.submissions


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_people_and_customers"),
        ("billing", "0001_plans"),
    ]

    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "number",
                    models.CharField(
                        default=billing.models.order.new_number, editable=False, max_length=12, unique=True
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to="accounts.customer",
                    ),
                ),
                (
                    "placed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="orders",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("placed_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="orders", to="billing.plan"
                    ),
                ),
                (
                    "period",
                    models.CharField(choices=[("monthly", "Monthly"), ("yearly", "Yearly")], max_length=7),
                ),
                (
                    "amount_minor",
                    models.PositiveIntegerField(
                        help_text="Price of the first period when the order was placed."
                    ),
                ),
                ("currency", billing.money.CurrencyField(default="USD", max_length=3)),
                ("name", models.CharField(max_length=100)),
                ("company", models.CharField(blank=True, max_length=100)),
                (
                    "email",
                    models.EmailField(help_text="Of the person who placed it, at that time.", max_length=254),
                ),
                ("street", models.CharField(max_length=200)),
                ("city", models.CharField(max_length=100)),
                ("region", models.CharField(blank=True, max_length=100)),
                ("postcode", models.CharField(max_length=20)),
                ("country", models.CharField(max_length=2)),
                ("phone", models.CharField(max_length=32)),
                ("domain", models.CharField(blank=True, max_length=253)),
                ("client_address", models.GenericIPAddressField(null=True)),
                ("terms_accepted_at", models.DateTimeField()),
                (
                    "submission",
                    models.CharField(default=billing.submissions.new_token, editable=False, max_length=64),
                ),
                ("fingerprint", models.CharField(blank=True, editable=False, max_length=64)),
            ],
            options={
                "ordering": ["-placed_at"],
                "indexes": [models.Index(fields=["placed_at"], name="order_by_age")],
                "constraints": [
                    models.UniqueConstraint(fields=("placed_by", "submission"), name="order_submitted_once"),
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0)), name="order_amount_positive"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="order_currency_form"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("country__regex", "^[A-Z]{2}$")), name="order_country_form"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("period__in", ["monthly", "yearly"])), name="order_period_known"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="OrderMessage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="messages",
                        to="billing.order",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("question", "Question from staff"), ("answer", "Answer of the customer")],
                        max_length=8,
                    ),
                ),
                ("text", models.CharField(max_length=2000)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["question", "answer"])),
                        name="order_message_kind_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ReviewDecision",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="decision",
                        to="billing.order",
                    ),
                ),
                (
                    "decision",
                    models.CharField(choices=[("approve", "Approve"), ("reject", "Reject")], max_length=7),
                ),
                ("text", models.CharField(blank=True, max_length=2000)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("decision__in", ["approve", "reject"])),
                        name="review_decision_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="OrderCancellation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="cancellation",
                        to="billing.order",
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
        ),
    ]
