"""The database itself refuses that a credit pays more than staff gave. The credit is locked first, so two payments see each other; what
paid a renewal that was taken back is there again.
"""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION billing_credit_is_covered() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  of_grant bigint; given bigint; used bigint;
BEGIN
  IF TG_TABLE_NAME = 'billing_payment' THEN of_grant := NEW.grant_id; ELSE of_grant := NEW.id; END IF;
  SELECT amount_minor - taken_back_minor INTO given FROM billing_creditgrant WHERE id = of_grant FOR NO KEY UPDATE;
  SELECT coalesce(sum(p.amount_minor), 0) INTO used FROM billing_payment p
    JOIN billing_renewal r ON r.id = p.renewal_id WHERE p.grant_id = of_grant AND r.taken_back_at IS NULL;
  IF used > given THEN
    RAISE EXCEPTION 'A credit would pay more than was given.' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER billing_credit_is_covered AFTER INSERT ON billing_payment
  FOR EACH ROW WHEN (NEW.grant_id IS NOT NULL) EXECUTE FUNCTION billing_credit_is_covered();
CREATE TRIGGER billing_grant_is_covered AFTER UPDATE ON billing_creditgrant
  FOR EACH ROW EXECUTE FUNCTION billing_credit_is_covered();
"""

BACK = r"""
DROP TRIGGER billing_credit_is_covered ON billing_payment;
DROP TRIGGER billing_grant_is_covered ON billing_creditgrant;
DROP FUNCTION billing_credit_is_covered();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0029_credits_by_staff")]

    operations = [migrations.RunSQL(FORWARD, BACK)]
