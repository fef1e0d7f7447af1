from django.db import migrations

TEXTS = [
    (
        "ask",
        "Whose domain is it?",
        "Hello {name},\n\nthank you for your order {number}. What do you have to do with {domain}, and what will you use "
        "the mailboxes for? One or two sentences are enough.",
    ),
    (
        "ask",
        "Please check your address",
        "Hello {name},\n\nwe could not find the address in your order {number}. Please write it to us again, as it "
        "stands on your letterbox or in your company's register.",
    ),
    (
        "reject",
        "We cannot take this order",
        "Hello {name},\n\nwe looked at your order {number} and cannot take it. If you think that we are wrong, answer "
        "to this mail.",
    ),
]


def seed(apps, schema_editor):
    canned = apps.get_model("billing", "CannedText")
    for kind, title, text in TEXTS:
        canned.objects.get_or_create(title=title, defaults={"kind": kind, "text": text})


class Migration(migrations.Migration):
    dependencies = [("billing", "0014_review_desk")]
    operations = [migrations.RunPython(seed, migrations.RunPython.noop)]
