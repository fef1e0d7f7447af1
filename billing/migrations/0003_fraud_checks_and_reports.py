import uuid

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0002_orders"),
    ]

    operations = [
        migrations.CreateModel(
            name="FraudCheck",
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
                        related_name="fraud_check",
                        to="billing.order",
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("clean", "Nothing reported"),
                            ("reported", "Reported by others"),
                            ("held", "Held: reported often, badly and reliably"),
                            ("outage", "FraudRecord could not be reached; it is asked again"),
                            (
                                "refused",
                                "FraudRecord refuses our key or our question; the operator must mend that",
                            ),
                            ("off", "FraudRecord is switched off here"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "value",
                    models.PositiveIntegerField(help_text="Sum of the severities reported.", null=True),
                ),
                ("count", models.PositiveIntegerField(help_text="Number of reports.", null=True)),
                (
                    "reliability",
                    models.DecimalField(
                        decimal_places=1, help_text="0.0, or 1.0 to 10.0.", max_digits=3, null=True
                    ),
                ),
                (
                    "code",
                    models.CharField(blank=True, help_text="Of the report at FraudRecord.", max_length=16),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                (
                    "next_ask_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, help_text="Empty: not asked any more.", null=True
                    ),
                ),
                ("answered_at", models.DateTimeField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_ask_at__isnull", False)),
                        fields=["next_ask_at"],
                        name="fraud_check_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("outcome__in", ["", "clean", "reported", "held", "outage", "refused", "off"])
                        ),
                        name="fraud_check_outcome_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("outcome__in", ["clean", "reported", "held"]), _negated=True),
                            models.Q(
                                ("count__isnull", False),
                                ("reliability__isnull", False),
                                ("value__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="fraud_check_verdict_whole",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="FraudReport",
            fields=[
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                (
                    "order",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="fraud_reports",
                        to="billing.order",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        help_text="One or two words, published as they are.",
                        max_length=32,
                        verbose_name="type",
                    ),
                ),
                (
                    "severity",
                    models.PositiveSmallIntegerField(
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(10),
                        ]
                    ),
                ),
                ("text", models.CharField(max_length=500)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                (
                    "next_try_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, help_text="Empty: not tried any more.", null=True
                    ),
                ),
                ("sent_at", models.DateTimeField(null=True)),
                ("code", models.CharField(blank=True, max_length=64)),
                ("problem", models.CharField(blank=True, max_length=200)),
            ],
            options={
                "ordering": ["at"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("next_try_at__isnull", False)),
                        fields=["next_try_at"],
                        name="fraud_report_due",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("severity__range", (1, 10))), name="fraud_report_severity_range"
                    ),
                    models.UniqueConstraint(
                        fields=("order", "kind", "severity", "text"), name="fraud_report_once"
                    ),
                ],
            },
        ),
    ]
