"""What somebody who lays hands on a mail server's files may do to its rows: name -> (file, SQL)."""

NODE, SECRETS = "db/node.db", "secrets/secrets.db"

TAMPERINGS = {
    "customers gone": (NODE, "DELETE FROM customers"),
    "domains gone": (NODE, "DELETE FROM domains"),
    "mailboxes gone": (NODE, "DELETE FROM mailboxes"),
    "dkim gone": (NODE, "DELETE FROM dkim"),
    "states gone": (NODE, "DELETE FROM states"),
    "passwords gone": (SECRETS, "DELETE FROM secrets"),
    "storage changed": (NODE, "UPDATE customers SET storage_bytes = 7"),
    "quota changed": (NODE, "UPDATE mailboxes SET quota_bytes = 7"),
    "addresses changed": (NODE, "UPDATE mailboxes SET local_part = 'z' || local_part"),
    "states changed": (NODE, "UPDATE states SET reason = 'tampered', receive = 1"),
    "passwords changed": (SECRETS, "UPDATE secrets SET hash = '{SHA256}AAAA'"),
    "domains refuse mail": (NODE, "UPDATE domains SET accepts = 0"),
    "a customer too much": (
        NODE,
        "INSERT OR REPLACE INTO customers (id, username, storage_bytes)"
        " VALUES ('00000000000000000000000000000001', 'ghost', 1)",
    ),
    "a domain too much": (
        NODE,
        """INSERT OR REPLACE INTO domains
           SELECT '00000000000000000000000000000001', id, 'ghost.test', 1 FROM customers LIMIT 1""",
    ),
    "a mailbox too much": (
        NODE,
        """INSERT OR REPLACE INTO mailboxes (id, domain, local_part, quota_bytes, secret)
           SELECT '00000000000000000000000000000001', id, 'ghost', 1, '' FROM domains LIMIT 1""",
    ),
    "a state too much": (
        NODE,
        """INSERT OR REPLACE INTO states VALUES
           ('00000000000000000000000000000001', 'customer', '00000000000000000000000000000002', 1, 1, 1, 'x', NULL)""",
    ),
}
