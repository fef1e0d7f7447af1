import django.db.models.deletion
from django.db import migrations, models

THEIRS = """
UPDATE accounts_factorlift SET notice_id = mail.id FROM accounts_notice mail
WHERE mail.kind = 'factor_lift.ask' AND mail.subject_id = accounts_factorlift.id::text
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_audit_append_only")]

    operations = [
        migrations.AddField(
            "factorlift",
            "notice",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.notice",
                help_text="The mail that tells the person.",
            ),
        ),
        migrations.RunSQL(THEIRS, migrations.RunSQL.noop),
    ]
