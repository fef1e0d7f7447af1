from django.db import migrations

from billing.traits import payment_trait, traits_of


def remember(apps, schema_editor):
    """Orders from before are compared with later ones too."""
    Order = apps.get_model("billing", "Order")
    OrderTrait = apps.get_model("billing", "OrderTrait")
    for order in Order.objects.prefetch_related("payments").iterator(chunk_size=500):
        traits = {*traits_of(order)}.union(
            *(payment_trait(payment.reference) for payment in order.payments.all())
        )
        OrderTrait.objects.bulk_create(
            (OrderTrait(order=order, kind=kind, key=key) for kind, key in traits), ignore_conflicts=True
        )


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0008_own_signals"),
    ]

    operations = [
        migrations.RunPython(remember, migrations.RunPython.noop),
    ]
