"""Audit entries are only ever added: the database itself refuses to change or to delete them.

What is allowed all the same: an address gets shorter, or goes; a person who was erased becomes a pseudonym, whereby what an entry
says of their addresses may go; entries past their two years are deleted.
"""

from django.db import migrations

FORWARD = r"""
CREATE FUNCTION accounts_audit_shortened(address inet) RETURNS inet LANGUAGE sql IMMUTABLE AS $$
  SELECT host(network(set_masklen(address, CASE family(address) WHEN 4 THEN 24 ELSE 48 END)))::inet
$$;

CREATE FUNCTION accounts_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  erased boolean;
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.at > now() - interval '730 days' THEN
      RAISE EXCEPTION 'Audit entries are kept for two years.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
  END IF;
  erased := NEW.subject ~ '^erased-[0-9a-f]{32}@invalid\.invalid$';
  IF (NEW.id, NEW.at, NEW.action, NEW.by_id, NEW.customer_id)
       IS DISTINCT FROM (OLD.id, OLD.at, OLD.action, OLD.by_id, OLD.customer_id)
     OR NOT (NEW.subject = OLD.subject OR erased)
     OR NOT (NEW.before IS NOT DISTINCT FROM OLD.before OR (NEW.before IS NULL AND erased))
     OR NOT (NEW.after IS NOT DISTINCT FROM OLD.after OR (NEW.after IS NULL AND erased))
     OR NOT (NEW.address IS NULL OR NEW.address IS NOT DISTINCT FROM OLD.address
             OR NEW.address = accounts_audit_shortened(OLD.address))
  THEN
    RAISE EXCEPTION 'Audit entries are never changed.' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER accounts_audit_append_only BEFORE UPDATE OR DELETE ON accounts_auditentry
  FOR EACH ROW EXECUTE FUNCTION accounts_audit_append_only();
"""

BACK = """
DROP TRIGGER accounts_audit_append_only ON accounts_auditentry;
DROP FUNCTION accounts_audit_append_only();
DROP FUNCTION accounts_audit_shortened(inet);
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_members")]

    operations = [migrations.RunSQL(FORWARD, BACK)]
