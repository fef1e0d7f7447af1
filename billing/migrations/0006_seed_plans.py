from django.db import migrations

# slug, name, storage in GB, a month, a year (cents), description
PLANS = [
    ("10gb", "10 GB", 10, 590, 5900, "For a family or a small office."),
    ("25gb", "25 GB", 25, 990, 9900, "For a team that keeps its mail."),
    ("50gb", "50 GB", 50, 1490, 14900, "For a company with many mailboxes."),
    ("100gb", "100 GB", 100, 2490, 24900, "For archives and large teams."),
    ("reseller100gb", "Reseller 100 GB", 100, 3490, 34900, "For those who host the mail of their clients."),
]


def seed(apps, schema_editor):
    plan = apps.get_model("billing", "Plan")
    for position, (slug, name, storage_gb, monthly, yearly, description) in enumerate(PLANS):
        plan.objects.get_or_create(
            slug=slug,
            defaults={
                "name": name,
                "storage_mb": storage_gb * 1024,
                "sends_per_day": 9600,
                "currency": "USD",
                "monthly_minor": monthly,
                "yearly_minor": yearly,
                "description": description,
                "position": position,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("billing", "0005_storage_usage")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop, elidable=False)]
