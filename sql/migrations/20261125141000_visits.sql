-- Operators who open a user's Machine: asked for with a reason, for minutes, seen and ended by the user.

create table gateway.visits (
  id uuid not null default gen_random_uuid() constraint visits_pkey primary key,
  user_id uuid not null,
  operator text not null,
  reason text not null,
  minutes integer not null,
  ticket_hash bytea not null constraint visits_ticket_hash_key unique,
  granted_at timestamptz not null,
  open_until timestamptz not null,
  id_hash bytea constraint visits_id_hash_key unique,
  opened_at timestamptz,
  expires_at timestamptz,
  ended_at timestamptz,
  ended_by text,

  constraint visits_minutes_few check (minutes between 1 and 60),
  constraint visits_ticket_hash_is_sha256 check (octet_length(ticket_hash) = 32),
  constraint visits_id_hash_is_sha256 check (octet_length(id_hash) = 32),
  constraint visits_opened_whole check (num_nulls(id_hash, opened_at, expires_at) in (0, 3)),
  constraint visits_short check (expires_at <= opened_at + interval '60 minutes'),
  constraint visits_ended_by_somebody check (num_nulls(ended_at, ended_by) in (0, 2))
);
comment on table gateway.visits is 'Operators'' sessions at a user''s Machine.';
comment on column gateway.visits.ticket_hash is 'SHA-256 of what the link carries: good once, until open_until.';
comment on column gateway.visits.id_hash is 'SHA-256 of the cookie''s value, as in sessions.';
comment on column gateway.visits.ended_by is 'The user, an operator, or "time".';

create index visits_by_user on gateway.visits (user_id, granted_at);
create index visits_unfinished on gateway.visits (open_until) where ended_at is null;

create function gateway.announce_visit_end() returns trigger
language plpgsql set search_path = '' as $$
begin
  if old.ended_at is null and new.ended_at is not null and new.id_hash is not null then
    perform pg_catalog.pg_notify('session_ended', pg_catalog.encode(new.id_hash, 'hex'));
  end if;
  return null;
end
$$;
comment on function gateway.announce_visit_end() is 'A visit that ends is a session that ends: every replica cuts what it opened.';
revoke all on function gateway.announce_visit_end() from public;

create trigger announce_end after update on gateway.visits
  for each row execute function gateway.announce_visit_end();

grant select, insert, update, delete on gateway.visits to jarvis_gateway;

create table gateway.closed_doors (
  user_id uuid not null constraint closed_doors_pkey primary key,
  closed_at timestamptz not null
);
comment on table gateway.closed_doors is 'Users who want no visits of operators. It holds for owners too.';

grant select, insert, delete on gateway.closed_doors to jarvis_gateway;
