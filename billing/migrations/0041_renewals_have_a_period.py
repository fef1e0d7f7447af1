"""What is sold says by which period."""

from django.db import migrations, models

PERIODS = [("monthly", "Monthly"), ("yearly", "Yearly")]
SQL = r"""
CREATE FUNCTION billing_renewal_has_period() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.period = '' THEN  -- sold by a program of before they were written down
    SELECT period INTO NEW.period FROM billing_subscription WHERE id = NEW.subscription_id;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER billing_renewal_has_period BEFORE INSERT ON billing_renewal
  FOR EACH ROW EXECUTE FUNCTION billing_renewal_has_period();
"""
BACK = r"""
DROP TRIGGER billing_renewal_has_period ON billing_renewal;
DROP FUNCTION billing_renewal_has_period();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0040_changes_can_be_of_a_period")]

    operations = [
        migrations.AddField(
            model_name="renewal",
            name="period",
            field=models.CharField(choices=PERIODS, db_default="", max_length=7),
        ),
        migrations.RunSQL(SQL, BACK),
    ]
