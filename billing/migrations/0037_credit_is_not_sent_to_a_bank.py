"""The credit that paid a renewal is no money that a bank or a card could get back: it covers no refund."""

from django.db import migrations

SQL = r"""
CREATE OR REPLACE FUNCTION billing_refund_is_covered() RETURNS trigger LANGUAGE plpgsql AS $$
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
    WHERE (p.order_id = of_order OR p.renewal_id = of_renewal) AND p.currency = of_currency{};
  SELECT coalesce(sum(r.amount_minor), 0) INTO sent FROM billing_refund r
    WHERE (r.order_id = of_order OR r.renewal_id = of_renewal) AND r.currency = of_currency AND r.way <> 'card';
  IF sent > kept THEN
    RAISE EXCEPTION 'More would go back than was paid.' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0036_coupon_codes_are_checked_whole")]

    operations = [migrations.RunSQL(SQL.format(" AND p.method <> 'credit'"), SQL.format(""))]
