"""Who: people, customers, memberships, suspensions, the audit trail, notices."""
