create table gateway.sessions (
  id_hash bytea not null constraint sessions_pkey primary key,
  user_id uuid not null,
  supabase_session_id uuid,
  email text not null,
  access_token bytea not null,
  refresh_token bytea not null,
  access_expires_at timestamptz not null,
  claims jsonb not null,
  created_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  expires_at timestamptz not null,
  user_agent text,
  ip inet,

  constraint sessions_id_hash_is_sha256 check (octet_length(id_hash) = 32)
);
comment on table gateway.sessions is 'Who is signed in on which browser.';
comment on column gateway.sessions.id_hash is 'SHA-256 of the cookie''s value: this table alone opens no session.';
comment on column gateway.sessions.access_token is 'Encrypted by the gateway, like refresh_token.';
comment on column gateway.sessions.claims is 'The verified claims of the access token, as of the latest refresh.';

create index sessions_by_user on gateway.sessions (user_id);
create index sessions_by_supabase_session on gateway.sessions (supabase_session_id);
create index sessions_by_expiry on gateway.sessions (expires_at);

create function gateway.announce_session_end() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('session_ended', pg_catalog.encode(old.id_hash, 'hex'));
  return null;
end
$$;
comment on function gateway.announce_session_end() is 'A sign-out here ends the session in every replica''s memory.';
revoke all on function gateway.announce_session_end() from public;

create trigger announce_end after delete on gateway.sessions
  for each row execute function gateway.announce_session_end();

-- One sequence for all: a fence never comes twice, not even for a user who was deleted and came back.
create sequence gateway.lease_fences;

create table gateway.instance_leases (
  user_id uuid not null constraint instance_leases_pkey primary key,
  owner text,
  fence bigint not null default nextval('gateway.lease_fences'),
  until timestamptz not null
);
comment on table gateway.instance_leases is 'The right of one replica to work on one Instance for a while.';
comment on column gateway.instance_leases.owner is 'Null: given back.';
comment on column gateway.instance_leases.fence is 'Grows with every acquisition; a write with an older one is refused.';

create table gateway.audit_log (
  id bigint generated always as identity constraint audit_log_pkey primary key,
  at timestamptz not null default now(),
  actor text not null,
  action text not null,
  user_id uuid,
  from_state text,
  to_state text,
  detail jsonb not null default '{}'
);
comment on table gateway.audit_log is 'Everything that was done, and by whom. Rows are only ever added.';
comment on column gateway.audit_log.actor is 'A user id, an operator''s name, or a part of the gateway such as "sweeper".';

create index audit_log_by_user on gateway.audit_log (user_id, id);
create index audit_log_by_time on gateway.audit_log (at);

create function gateway.refuse_change() returns trigger
language plpgsql set search_path = '' as $$
begin
  raise exception '% is append only: % refused', tg_table_name, tg_op using errcode = 'insufficient_privilege';
end
$$;
comment on function gateway.refuse_change() is 'Binds also those whom grants do not bind: the owner and superusers.';
revoke all on function gateway.refuse_change() from public;

create trigger append_only before update or delete or truncate on gateway.audit_log
  for each statement execute function gateway.refuse_change();
-- Also where session_replication_role silences ordinary triggers.
alter table gateway.audit_log enable always trigger append_only;

create table gateway.step_times (
  instance_id uuid not null,
  path text not null,
  step text not null,
  took_s double precision not null,
  at timestamptz not null default now(),

  constraint step_times_took_natural check (took_s >= 0)
);
comment on table gateway.step_times is 'How long the steps of recent wakes and provisionings took, to tell users what to expect.';
comment on column gateway.step_times.path is '"provision", "resume" or "start".';

create index step_times_latest on gateway.step_times (path, at desc);

grant select, insert, update, delete on gateway.sessions, gateway.instance_leases to jarvis_gateway;
grant usage on sequence gateway.lease_fences to jarvis_gateway;
grant select, insert on gateway.audit_log to jarvis_gateway;
grant select, insert, delete on gateway.step_times to jarvis_gateway;
