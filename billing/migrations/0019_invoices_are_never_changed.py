"""The database itself refuses to change the ledger, or an invoice once it is issued, and to delete either.

What is allowed all the same: the names and addresses in an invoice are erased, once, when the years are over in which the law wants it
kept, which are five at least; the country, what it is about and its sums stay. An entry is about an invoice of its own customer.
"""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION billing_never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'What is issued or posted is never changed.' USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE TRIGGER billing_ledger_append_only BEFORE UPDATE OR DELETE ON billing_ledgerentry
  FOR EACH ROW EXECUTE FUNCTION billing_never_changed();
CREATE TRIGGER billing_ledger_never_emptied BEFORE TRUNCATE ON billing_ledgerentry
  FOR EACH STATEMENT EXECUTE FUNCTION billing_never_changed();

CREATE TRIGGER billing_invoice_never_deleted BEFORE DELETE ON billing_invoice
  FOR EACH ROW EXECUTE FUNCTION billing_never_changed();
CREATE FUNCTION billing_erased(document jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT document || jsonb_build_object('reference', '', 'buyer', jsonb_build_object(
    'name', 'erased', 'company', '', 'street', '', 'city', '', 'region', '', 'postcode', '',
    'country', document->'buyer'->'country', 'vat_id', '', 'email', ''))
$$;
CREATE TRIGGER billing_invoice_never_changed BEFORE UPDATE ON billing_invoice
  FOR EACH ROW
  WHEN (OLD.erased_at IS NOT NULL OR NEW.erased_at IS NULL OR OLD.issued_on > current_date - interval '5 years'
        OR to_jsonb(NEW) - '{document,erased_at}'::text[] IS DISTINCT FROM to_jsonb(OLD) - '{document,erased_at}'::text[]
        OR NEW.document IS DISTINCT FROM billing_erased(OLD.document))
  EXECUTE FUNCTION billing_never_changed();

CREATE FUNCTION billing_ledger_of_one_customer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.invoice_id IS NOT NULL AND NOT EXISTS (
      SELECT FROM billing_invoice WHERE id = NEW.invoice_id AND kind = 'invoice'
        AND customer_id = NEW.customer_id AND currency = NEW.currency) THEN
    RAISE EXCEPTION 'An entry is about an invoice of its customer, in its currency.'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER billing_ledger_of_one_customer BEFORE INSERT ON billing_ledgerentry
  FOR EACH ROW EXECUTE FUNCTION billing_ledger_of_one_customer();
CREATE TRIGGER billing_invoice_never_emptied BEFORE TRUNCATE ON billing_invoice
  FOR EACH STATEMENT EXECUTE FUNCTION billing_never_changed();
"""

BACK = r"""
DROP TRIGGER billing_ledger_append_only ON billing_ledgerentry;
DROP TRIGGER billing_ledger_never_emptied ON billing_ledgerentry;
DROP TRIGGER billing_invoice_never_deleted ON billing_invoice;
DROP TRIGGER billing_invoice_never_changed ON billing_invoice;
DROP TRIGGER billing_invoice_never_emptied ON billing_invoice;
DROP TRIGGER billing_ledger_of_one_customer ON billing_ledgerentry;
DROP FUNCTION billing_ledger_of_one_customer();
DROP FUNCTION billing_erased(jsonb);
DROP FUNCTION billing_never_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0018_invoices_and_ledger")]

    operations = [migrations.RunSQL(FORWARD, BACK)]
