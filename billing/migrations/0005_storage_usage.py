import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0004_payments_and_subscriptions"),
    ]

    operations = [
        migrations.CreateModel(
            name="StorageUsage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "customer",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="storage_usage",
                        to="accounts.customer",
                    ),
                ),
                ("bytes_used", models.PositiveBigIntegerField()),
                ("at", models.DateTimeField(help_text="When the reported state was true.")),
            ],
        ),
    ]
