"""The code of a coupon is checked from its start, too. Nothing changes in the database, which does that already."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0035_what_is_sold_has_a_version")]
    operations = [
        migrations.AlterField(
            model_name="coupon",
            name="code",
            field=models.CharField(
                help_text="3 to 40 letters A to Z, digits and hyphens; small letters count as capitals. Long ones are not guessed.",
                max_length=40,
                unique=True,
                validators=[
                    django.core.validators.RegexValidator(
                        "\\A[A-Za-z0-9-]{3,40}\\Z", "Use 3 to 40 letters A to Z, digits and hyphens."
                    )
                ],
            ),
        )
    ]
