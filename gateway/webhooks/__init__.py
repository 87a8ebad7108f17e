"""Outgoing webhooks: rows of the audit log, signed and sent to whom the operator named. Knows no Machines."""
