"""The database itself refuses to change the ledger, or an invoice once it is issued, and to delete either.

What is allowed all the same: the names and addresses in an invoice are erased, once, when the years are over in which the law wants it
kept; what it is about and its sums stay.
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
CREATE TRIGGER billing_invoice_never_changed BEFORE UPDATE ON billing_invoice
  FOR EACH ROW
  WHEN (OLD.erased_at IS NOT NULL OR NEW.erased_at IS NULL
        OR to_jsonb(NEW) - '{document,erased_at}'::text[] <> to_jsonb(OLD) - '{document,erased_at}'::text[]
        OR NEW.document - '{buyer,reference}'::text[] <> OLD.document - '{buyer,reference}'::text[])
  EXECUTE FUNCTION billing_never_changed();
CREATE TRIGGER billing_invoice_never_emptied BEFORE TRUNCATE ON billing_invoice
  FOR EACH STATEMENT EXECUTE FUNCTION billing_never_changed();
"""

BACK = r"""
DROP TRIGGER billing_ledger_append_only ON billing_ledgerentry;
DROP TRIGGER billing_ledger_never_emptied ON billing_ledgerentry;
DROP TRIGGER billing_invoice_never_deleted ON billing_invoice;
DROP TRIGGER billing_invoice_never_changed ON billing_invoice;
DROP TRIGGER billing_invoice_never_emptied ON billing_invoice;
DROP FUNCTION billing_never_changed();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0018_invoices_and_ledger")]

    operations = [migrations.RunSQL(FORWARD, BACK)]
