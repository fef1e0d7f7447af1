from django.db import migrations, models

import billing.money


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Plan",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("slug", models.SlugField(max_length=40, unique=True)),
                ("name", models.CharField(max_length=80)),
                ("description", models.CharField(blank=True, max_length=300)),
                (
                    "storage_mb",
                    models.PositiveIntegerField(
                        help_text="Total of all mailboxes; 1 MB is 2^20 bytes.", verbose_name="storage (MB)"
                    ),
                ),
                (
                    "mailboxes",
                    models.PositiveIntegerField(blank=True, help_text="Empty: unlimited.", null=True),
                ),
                (
                    "domains",
                    models.PositiveIntegerField(blank=True, help_text="Empty: unlimited.", null=True),
                ),
                (
                    "sends_per_day",
                    models.PositiveIntegerField(default=9600, help_text="Recipients a day for each mailbox."),
                ),
                ("currency", billing.money.CurrencyField(default="USD", max_length=3)),
                (
                    "monthly_minor",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="In the minor unit (cents). Empty: not sold by the month.",
                        null=True,
                        verbose_name="price a month",
                    ),
                ),
                (
                    "yearly_minor",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="In the minor unit (cents). Empty: not sold by the year.",
                        null=True,
                        verbose_name="price a year",
                    ),
                ),
                ("is_open", models.BooleanField(default=True, verbose_name="open for orders")),
                (
                    "position",
                    models.PositiveSmallIntegerField(default=0, help_text="Order on the page of plans."),
                ),
            ],
            options={
                "ordering": ["position", "slug"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="plan_currency_form"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("monthly_minor__isnull", False), ("yearly_minor__isnull", False), _connector="OR"
                        ),
                        name="plan_has_a_price",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("monthly_minor", None), ("monthly_minor__gt", 0), _connector="OR"),
                            models.Q(("yearly_minor", None), ("yearly_minor__gt", 0), _connector="OR"),
                        ),
                        name="plan_price_positive",
                    ),
                ],
            },
        ),
    ]
