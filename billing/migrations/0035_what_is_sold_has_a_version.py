"""Once all that was sold has a version, nothing is sold without."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # one table is locked at a time

    dependencies = [("billing", "0034_what_a_bank_takes_is_not_refused")]

    operations = [
        migrations.AlterField(
            model_name="order",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="orders",
                to="billing.planversion",
            ),
        ),
        migrations.AlterField(
            model_name="renewal",
            name="version",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="billing.planversion"
            ),
        ),
        migrations.AlterField(
            model_name="subscription",
            name="version",
            field=models.ForeignKey(
                help_text="Of its plan, as sold: what the customer may use.",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="subscriptions",
                to="billing.planversion",
            ),
        ),
    ]
