"""SQL is code: `migrations/` in order, `schema.sql` the whole truth, `queries/` by name."""
