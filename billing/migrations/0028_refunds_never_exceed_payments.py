"""The database itself refuses a refund by staff that would send back more than was paid.

What a card payment keeps is what is not on its way back to the card; all that went back otherwise must be covered by what is kept. Payments
of the sale are locked first, so two refunds at the same moment see each other.
"""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION billing_refund_is_covered() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  of_order uuid; of_renewal uuid; of_payment uuid; of_currency text; kept bigint; sent bigint;
BEGIN
  IF TG_TABLE_NAME = 'billing_cardrefund' THEN
    of_payment := NEW.payment_id;
    SELECT order_id, renewal_id, currency INTO of_order, of_renewal, of_currency
      FROM billing_payment WHERE id = of_payment;
  ELSE
    of_order := NEW.order_id; of_renewal := NEW.renewal_id; of_currency := NEW.currency;
  END IF;
  PERFORM FROM billing_payment WHERE order_id = of_order OR renewal_id = of_renewal
    ORDER BY id FOR NO KEY UPDATE;
  IF EXISTS (
      SELECT FROM billing_payment p WHERE p.id = of_payment AND p.amount_minor < (
        SELECT sum(c.amount_minor) FROM billing_cardrefund c WHERE c.payment_id = p.id AND c.failed_at IS NULL)) THEN
    RAISE EXCEPTION 'More would go back to a card than it paid.' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  SELECT coalesce(sum(greatest(0, p.amount_minor - coalesce((
      SELECT sum(c.amount_minor) FROM billing_cardrefund c WHERE c.payment_id = p.id AND c.failed_at IS NULL), 0))), 0)
    INTO kept FROM billing_payment p
    WHERE (p.order_id = of_order OR p.renewal_id = of_renewal) AND p.currency = of_currency;
  SELECT coalesce(sum(r.amount_minor), 0) INTO sent FROM billing_refund r
    WHERE (r.order_id = of_order OR r.renewal_id = of_renewal) AND r.currency = of_currency AND r.way <> 'card';
  IF sent > kept THEN
    RAISE EXCEPTION 'More would go back than was paid.' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER billing_refund_is_covered AFTER INSERT ON billing_refund
  FOR EACH ROW WHEN (NEW.way <> 'card') EXECUTE FUNCTION billing_refund_is_covered();
CREATE TRIGGER billing_card_refund_is_covered AFTER INSERT ON billing_cardrefund
  FOR EACH ROW WHEN (NEW.reason = 'staff') EXECUTE FUNCTION billing_refund_is_covered();
"""

BACK = r"""
DROP TRIGGER billing_refund_is_covered ON billing_refund;
DROP TRIGGER billing_card_refund_is_covered ON billing_cardrefund;
DROP FUNCTION billing_refund_is_covered();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0027_refunds_by_staff")]

    operations = [migrations.RunSQL(FORWARD, BACK)]
