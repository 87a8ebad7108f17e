-- Account pages on their own origin, personal access tokens, who may sign up, deleting an account.

alter table gateway.sessions add column realm text not null default 'public';
alter table gateway.sessions add constraint sessions_realm_known check (realm in ('public', 'account'));
comment on column gateway.sessions.realm is 'The origin whose cookie it is; one origin''s cookie is worth nothing at the other.';

create function gateway.announce_token_end() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('token_ended', old.id);
  return null;
end
$$;
comment on function gateway.announce_token_end() is 'A revoked token opens nothing from now on, on any replica.';
revoke all on function gateway.announce_token_end() from public;

create table gateway.access_tokens (
  id text not null constraint access_tokens_pkey primary key,
  user_id uuid not null,
  email text not null,
  name text not null,
  secret_hash bytea not null,
  scopes text[] not null,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  last_used_at timestamptz,

  constraint access_tokens_secret_hash_is_sha256 check (octet_length(secret_hash) = 32),
  constraint access_tokens_scopes_known check (cardinality(scopes) > 0 and scopes <@ array['app', 'read']),
  constraint access_tokens_end check (expires_at <= created_at + interval '366 days')
);
comment on table gateway.access_tokens is 'Personal access tokens: what a user gave to programs of theirs.';
comment on column gateway.access_tokens.secret_hash is 'SHA-256 of the secret part: this table alone opens nothing.';

create index access_tokens_by_user on gateway.access_tokens (user_id);

create trigger announce_end after delete on gateway.access_tokens
  for each row execute function gateway.announce_token_end();

create function gateway.announce_standing() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('standing_changed', coalesce(new.user_id, old.user_id)::text);
  return null;
end
$$;
comment on function gateway.announce_standing() is 'Whether a user may come in has to be asked anew, on every replica.';
revoke all on function gateway.announce_standing() from public;

create table gateway.signups (
  user_id uuid not null constraint signups_pkey primary key,
  email text not null,
  status text not null,
  created_at timestamptz not null default now(),
  decided_at timestamptz,
  decided_by text,

  constraint signups_status_known check (status in ('waiting', 'admitted', 'refused', 'suspended'))
);
comment on table gateway.signups is 'Who ever asked to come in, and what became of it.';
comment on column gateway.signups.decided_by is 'The rule that let them in, or the operator who decided.';

create index signups_by_status on gateway.signups (status, created_at, user_id);

create trigger announce_standing after update or delete on gateway.signups
  for each row execute function gateway.announce_standing();

-- Who is here already stays.
insert into gateway.signups (user_id, email, status, created_at, decided_at, decided_by)
select user_id, email, 'admitted', created_at, now(), 'migration' from public.user_instances;

create table gateway.deletions (
  user_id uuid not null constraint deletions_pkey primary key,
  email text,
  requested_at timestamptz not null default now(),
  next_try_at timestamptz not null,
  tries integer not null default 0,
  error text,
  finished_at timestamptz,

  constraint deletions_forget_the_email check (finished_at is null or email is null)
);
comment on table gateway.deletions is 'Accounts on their way out, and the ids of those that are gone: their tokens may live an hour longer.';

create index deletions_due on gateway.deletions (next_try_at) where finished_at is null;

create trigger announce_standing after insert on gateway.deletions
  for each row execute function gateway.announce_standing();

grant select, insert, update, delete
  on gateway.access_tokens, gateway.signups, gateway.deletions to jarvis_gateway;
