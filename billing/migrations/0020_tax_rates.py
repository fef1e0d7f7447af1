from datetime import date
from decimal import Decimal

import django.core.validators
from django.db import migrations, models

# Standard rates of value added tax and the days from which they hold. Source: European Commission, "VAT rates applied in
# the Member States of the European Union" (its chapter on their evolution) and its database Taxes in Europe (TEDB,
# https://ec.europa.eu/taxation_customs/tedb/); the United Kingdom: HMRC. Regions with a rate of their own (Azores,
# Madeira, Jungholz, Mittelberg) are not told apart.
RATES = [
    ("AT", "20", date(1984, 1, 1)),
    ("BE", "21", date(1996, 1, 1)),
    ("BG", "20", date(1999, 1, 1)),
    ("CY", "19", date(2014, 1, 13)),
    ("CZ", "21", date(2013, 1, 1)),
    ("DE", "19", date(2021, 1, 1)),
    ("DK", "25", date(1992, 1, 1)),
    ("EE", "24", date(2025, 7, 1)),
    ("ES", "21", date(2012, 9, 1)),
    ("FI", "25.5", date(2024, 9, 1)),
    ("FR", "20", date(2014, 1, 1)),
    ("GB", "20", date(2011, 1, 4)),
    ("GR", "24", date(2016, 6, 1)),
    ("HR", "25", date(2012, 3, 1)),
    ("HU", "27", date(2012, 1, 1)),
    ("IE", "23", date(2021, 3, 1)),
    ("IT", "22", date(2013, 10, 1)),
    ("LT", "21", date(2009, 9, 1)),
    ("LU", "17", date(2024, 1, 1)),
    ("LV", "21", date(2012, 7, 1)),
    ("MT", "18", date(2004, 1, 1)),
    ("NL", "21", date(2012, 10, 1)),
    ("PL", "23", date(2011, 1, 1)),
    ("PT", "23", date(2011, 1, 1)),
    ("RO", "21", date(2025, 8, 1)),
    ("SE", "25", date(1990, 7, 1)),
    ("SI", "22", date(2013, 7, 1)),
    ("SK", "23", date(2025, 1, 1)),
]

# A rate that holds, or held, is what orders and invoices were made with.
FORWARD = """
CREATE FUNCTION billing_tax_rate_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.from_on <= (now() AT TIME ZONE 'UTC')::date AND (TG_OP = 'DELETE' OR NEW IS DISTINCT FROM OLD) THEN
        RAISE EXCEPTION 'A tax rate that has begun is neither changed nor deleted: add a new one.'
            USING ERRCODE = 'check_violation';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER billing_tax_rate_stands BEFORE UPDATE OR DELETE ON billing_taxrate
    FOR EACH ROW EXECUTE FUNCTION billing_tax_rate_stands();
"""
BACK = """
DROP TRIGGER billing_tax_rate_stands ON billing_taxrate;
DROP FUNCTION billing_tax_rate_stands();
"""


def seed(apps, schema_editor):
    for country, rate, from_on in RATES:
        apps.get_model("billing", "TaxRate").objects.create(
            country=country, rate=Decimal(rate), from_on=from_on, label="VAT"
        )


class Migration(migrations.Migration):
    dependencies = [("billing", "0019_invoices_are_never_changed")]

    operations = [
        migrations.CreateModel(
            name="TaxRate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("country", models.CharField(help_text="ISO 3166 alpha-2, such as DE.", max_length=2)),
                (
                    "rate",
                    models.DecimalField(
                        decimal_places=2,
                        help_text="In per cent.",
                        max_digits=5,
                        validators=[
                            django.core.validators.MinValueValidator(Decimal("0")),
                            django.core.validators.MaxValueValidator(Decimal("100")),
                        ],
                    ),
                ),
                (
                    "label",
                    models.CharField(
                        default="VAT", help_text="What it is called: VAT, MwSt., TVA …", max_length=20
                    ),
                ),
                (
                    "from_on",
                    models.DateField(
                        help_text="The first day on which it holds. It cannot be changed from then on.",
                        verbose_name="from",
                    ),
                ),
            ],
            options={
                "ordering": ["country", "-from_on"],
                "constraints": [
                    models.UniqueConstraint(fields=["country", "from_on"], name="tax_rate_one_a_day"),
                    models.CheckConstraint(
                        condition=models.Q(("country__regex", "^[A-Z]{2}$")), name="tax_rate_country_form"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rate__gte", 0), ("rate__lte", 100)), name="tax_rate_per_cent"
                    ),
                ],
            },
        ),
        migrations.RunPython(seed, migrations.RunPython.noop, elidable=False),
        migrations.RunSQL(FORWARD, BACK),
    ]
