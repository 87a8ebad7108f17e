"""Postgres as we use it: named queries, compare-and-set steps, migrations."""
