import billing.money
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0014_suspensions_have_a_cause"),
        ("billing", "0031_free_months_by_staff"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="order",
            name="discount_minor",
            field=models.PositiveIntegerField(
                db_default=0, default=0, help_text="What a coupon took off that price; it stands beside it."
            ),
        ),
        migrations.AddField(
            model_name="renewal",
            name="discount_minor",
            field=models.PositiveIntegerField(
                db_default=0, default=0, help_text="What a coupon took off that price; it stands beside it."
            ),
        ),
        migrations.CreateModel(
            name="Coupon",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "percent",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="1 to 99. Or enter an amount.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(99),
                        ],
                        verbose_name="per cent",
                    ),
                ),
                (
                    "amount_minor",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="In the minor unit (cents), without tax. Or enter per cent.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="amount",
                    ),
                ),
                (
                    "currency",
                    billing.money.CurrencyField(
                        default="USD",
                        help_text="Of the amount; a coupon of per cent holds in every currency.",
                        max_length=3,
                    ),
                ),
                (
                    "periods",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="How many periods it makes cheaper, the one of the order counted. Empty: all.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "code",
                    models.CharField(
                        help_text="3 to 40 letters A to Z, digits and hyphens; small letters count as capitals. Long ones are not guessed.",
                        max_length=40,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "[A-Za-z0-9-]{3,40}\\Z", "Use 3 to 40 letters A to Z, digits and hyphens."
                            )
                        ],
                    ),
                ),
                (
                    "most_uses",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Empty: unlimited.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "once_each",
                    models.BooleanField(
                        default=True,
                        help_text="Nobody uses it twice, for whatever customer.",
                        verbose_name="once per customer",
                    ),
                ),
                (
                    "valid_from_on",
                    models.DateField(
                        blank=True, help_text="Empty: at once.", null=True, verbose_name="valid from"
                    ),
                ),
                (
                    "valid_until_on",
                    models.DateField(
                        blank=True,
                        help_text="The last day on which it can be used. Empty: always.",
                        null=True,
                        verbose_name="valid until",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True, help_text="Only then it can be used.", verbose_name="active"
                    ),
                ),
                (
                    "plans",
                    models.ManyToManyField(
                        blank=True,
                        help_text="For which plans. None: for all.",
                        related_name="+",
                        to="billing.plan",
                    ),
                ),
            ],
            options={
                "ordering": ["code"],
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="CouponUse",
            fields=[
                (
                    "percent",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="1 to 99. Or enter an amount.",
                        null=True,
                        validators=[
                            django.core.validators.MinValueValidator(1),
                            django.core.validators.MaxValueValidator(99),
                        ],
                        verbose_name="per cent",
                    ),
                ),
                (
                    "amount_minor",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="In the minor unit (cents), without tax. Or enter per cent.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                        verbose_name="amount",
                    ),
                ),
                (
                    "currency",
                    billing.money.CurrencyField(
                        default="USD",
                        help_text="Of the amount; a coupon of per cent holds in every currency.",
                        max_length=3,
                    ),
                ),
                (
                    "periods",
                    models.PositiveSmallIntegerField(
                        blank=True,
                        help_text="How many periods it makes cheaper, the one of the order counted. Empty: all.",
                        null=True,
                        validators=[django.core.validators.MinValueValidator(1)],
                    ),
                ),
                (
                    "id",
                    models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False),
                ),
                ("code", models.CharField(max_length=40)),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("first_period", models.PositiveIntegerField(default=0, help_text="That of the order is 0.")),
                (
                    "plan_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        default=list,
                        help_text="Empty: for all plans.",
                        size=None,
                    ),
                ),
                ("given_back_at", models.DateTimeField(help_text="When it came to nothing.", null=True)),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="coupon_uses",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "coupon",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="uses", to="billing.coupon"
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="coupon_uses",
                        to="accounts.customer",
                    ),
                ),
            ],
            options={
                "ordering": ["-at"],
                "abstract": False,
            },
        ),
        migrations.AddField(
            model_name="order",
            name="coupon_use",
            field=models.ForeignKey(
                help_text="What took it off.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="%(class)ss",
                to="billing.couponuse",
            ),
        ),
        migrations.AddField(
            model_name="renewal",
            name="coupon_use",
            field=models.ForeignKey(
                help_text="What took it off.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="%(class)ss",
                to="billing.couponuse",
            ),
        ),
        migrations.AddField(
            model_name="subscription",
            name="coupon_use",
            field=models.OneToOneField(
                help_text="The last one.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="subscription",
                to="billing.couponuse",
            ),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("coupon_use", None), ("discount_minor", 0)),
                    models.Q(("coupon_use__isnull", False), ("discount_minor__gt", 0)),
                    _connector="OR",
                ),
                name="order_discount_of_a_coupon",
            ),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.UniqueConstraint(fields=("coupon_use",), name="order_coupon_use_once"),
        ),
        migrations.AddConstraint(
            model_name="renewal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("coupon_use", None), ("discount_minor", 0)),
                    models.Q(("coupon_use__isnull", False), ("discount_minor__gt", 0)),
                    _connector="OR",
                ),
                name="renewal_discount_of_a_coupon",
            ),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("amount_minor", None),
                        ("percent__gte", 1),
                        ("percent__isnull", False),
                        ("percent__lte", 99),
                    ),
                    models.Q(("amount_minor__gt", 0), ("amount_minor__isnull", False), ("percent", None)),
                    _connector="OR",
                ),
                name="coupon_takes_something",
            ),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=models.Q(("periods", None), ("periods__gt", 0), _connector="OR"),
                name="coupon_periods_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="coupon_currency_form"
            ),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=models.Q(("code__regex", "^[A-Z0-9-]{3,40}$")), name="coupon_code_form"
            ),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=models.Q(("most_uses", None), ("most_uses__gt", 0), _connector="OR"),
                name="coupon_most_uses_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="coupon",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_from_on", None),
                    ("valid_until_on", None),
                    ("valid_until_on__gte", models.F("valid_from_on")),
                    _connector="OR",
                ),
                name="coupon_ends_after_start",
            ),
        ),
        migrations.AddIndex(
            model_name="couponuse",
            index=models.Index(
                condition=models.Q(("given_back_at", None)), fields=["coupon"], name="coupon_use_in_force"
            ),
        ),
        migrations.AddConstraint(
            model_name="couponuse",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("amount_minor", None),
                        ("percent__gte", 1),
                        ("percent__isnull", False),
                        ("percent__lte", 99),
                    ),
                    models.Q(("amount_minor__gt", 0), ("amount_minor__isnull", False), ("percent", None)),
                    _connector="OR",
                ),
                name="couponuse_takes_something",
            ),
        ),
        migrations.AddConstraint(
            model_name="couponuse",
            constraint=models.CheckConstraint(
                condition=models.Q(("periods", None), ("periods__gt", 0), _connector="OR"),
                name="couponuse_periods_positive",
            ),
        ),
        migrations.AddConstraint(
            model_name="couponuse",
            constraint=models.CheckConstraint(
                condition=models.Q(("currency__regex", "^[A-Z]{3}$")), name="couponuse_currency_form"
            ),
        ),
    ]
