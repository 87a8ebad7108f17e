-- Operators at the dashboard, and which replicas there are.

create table gateway.operator_sessions (
  id_hash bytea not null constraint operator_sessions_pkey primary key,
  token_hash bytea not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,

  constraint operator_sessions_hashes_are_sha256 check (octet_length(id_hash) = 32 and octet_length(token_hash) = 32)
);
comment on table gateway.operator_sessions is 'Who is signed in at the dashboard.';
comment on column gateway.operator_sessions.id_hash is 'SHA-256 of the cookie''s value: this table alone opens nothing.';
comment on column gateway.operator_sessions.token_hash is 'Of the token they signed in with: when that ends, so does this.';

create index operator_sessions_by_expiry on gateway.operator_sessions (expires_at);

grant select, insert, delete on gateway.operator_sessions to jarvis_gateway;

create table gateway.replicas (
  name text not null constraint replicas_pkey primary key,
  version text not null,
  started_at timestamptz not null,
  seen_at timestamptz not null,
  loops jsonb not null
);
comment on table gateway.replicas is 'Gateway processes that run, or ended without saying so.';
comment on column gateway.replicas.loops is 'Background work by name: "runs", or "ended", which it never should have.';

grant select, insert, update, delete on gateway.replicas to jarvis_gateway;
