"""What a bank keeps by a dispute is a fact: it is noted whatever went back before, and counts against what staff may still send back."""

from django.db import migrations

SQL = """
DROP TRIGGER billing_refund_is_covered ON billing_refund;
CREATE TRIGGER billing_refund_is_covered AFTER INSERT ON billing_refund
  FOR EACH ROW WHEN (NEW.way NOT IN ({})) EXECUTE FUNCTION billing_refund_is_covered();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0033_disputes")]

    operations = [migrations.RunSQL(SQL.format("'card', 'dispute'"), SQL.format("'card'"))]
