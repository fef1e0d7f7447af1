"""Who acted as staff stands with the entry. What the database lets change of an entry is exactly the shortening of old addresses
and the pseudonym of an erased person; and the table is not emptied at one stroke.
"""

from django.db import migrations, models

AS_STAFF = """
UPDATE accounts_auditentry entry SET by_staff = true FROM accounts_user person
WHERE person.id = entry.by_id AND person.is_staff AND NOT EXISTS (
  SELECT 1 FROM accounts_membership own WHERE own.customer_id = entry.customer_id AND own.user_id = entry.by_id)
"""

FORWARD = r"""
CREATE FUNCTION accounts_is_pseudonym(address text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT address ~ '^erased-[0-9a-f]{32}@invalid\.invalid$'
     AND EXISTS (SELECT 1 FROM accounts_user WHERE email = address AND NOT is_active)
$$;

-- Whether `new` (JSON as text) is `old` with some of its addresses replaced by the pseudonyms of persons who were erased.
CREATE FUNCTION accounts_audit_pseudonymised(old text, new text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT old IS NOT DISTINCT FROM new OR (
    regexp_replace(old, '"(?:\\.|[^"\\@])*@(?:\\.|[^"\\])*"', '@', 'g') IS NOT DISTINCT FROM regexp_replace(new, '"(?:\\.|[^"\\@])*@(?:\\.|[^"\\])*"', '@', 'g')
    AND NOT EXISTS (
      SELECT 1 FROM regexp_matches(old, '"(?:\\.|[^"\\@])*@(?:\\.|[^"\\])*"', 'g') WITH ORDINALITY AS was(text, place)
      JOIN regexp_matches(new, '"(?:\\.|[^"\\@])*@(?:\\.|[^"\\])*"', 'g') WITH ORDINALITY AS becomes(text, place) USING (place)
      WHERE was.text <> becomes.text AND NOT accounts_is_pseudonym(trim('"' FROM becomes.text[1]))))
$$;

CREATE OR REPLACE FUNCTION accounts_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    RAISE EXCEPTION 'Audit entries are kept for two years.' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  IF TG_OP = 'DELETE' THEN
    IF OLD.at > clock_timestamp() - interval '730 days' THEN
      RAISE EXCEPTION 'Audit entries are kept for two years.' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
  END IF;
  IF (NEW.id, NEW.at, NEW.action, NEW.by_id, NEW.by_staff, NEW.customer_id)
       IS DISTINCT FROM (OLD.id, OLD.at, OLD.action, OLD.by_id, OLD.by_staff, OLD.customer_id)
     OR NOT accounts_audit_pseudonymised(to_json(OLD.subject)::text, to_json(NEW.subject)::text)
     OR NOT accounts_audit_pseudonymised(OLD.before::text, NEW.before::text)
     OR NOT accounts_audit_pseudonymised(OLD.after::text, NEW.after::text)
     OR NOT (NEW.address IS NOT DISTINCT FROM OLD.address
             OR (NEW.address = accounts_audit_shortened(OLD.address)
                 AND OLD.at < clock_timestamp() - interval '90 days')
             OR (NEW.address IS NULL
                 AND accounts_is_pseudonym((SELECT email FROM accounts_user WHERE id = OLD.by_id))))
  THEN
    RAISE EXCEPTION 'Audit entries are never changed.' USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER accounts_audit_never_emptied BEFORE TRUNCATE ON accounts_auditentry
  FOR EACH STATEMENT EXECUTE FUNCTION accounts_audit_append_only();

CREATE INDEX audit_whole_address ON accounts_auditentry (at) WHERE address <> accounts_audit_shortened(address);
"""

BACK = r"""
DROP INDEX audit_whole_address;
DROP TRIGGER accounts_audit_never_emptied ON accounts_auditentry;
CREATE OR REPLACE FUNCTION accounts_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND OLD.at <= now() - interval '730 days' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'Audit entries are never changed.' USING ERRCODE = 'integrity_constraint_violation';
END $$;
DROP FUNCTION accounts_audit_pseudonymised(text, text);
DROP FUNCTION accounts_is_pseudonym(text);
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_lifts_wait_for_their_mail")]

    operations = [
        migrations.AddField(
            "auditentry",
            "by_staff",
            models.BooleanField(
                "as staff", default=False, help_text="By staff who did not belong to the customer then."
            ),
        ),
        migrations.RunSQL(AS_STAFF, migrations.RunSQL.noop),
        migrations.RunSQL(FORWARD, BACK),
    ]
