-- The whole schema as it is now, in an order to read. Nobody applies this file: databases are brought here by
-- `migrations/`, and a test proves that those arrive at exactly this.
--
-- public    what a user may see of their own, through Supabase's Data API and row level security
-- gateway   what only the gateway may see
--
-- Times are UTC instants. No table refers to auth.users: a user may be deleted at Supabase at any moment, and what we
-- still have to undo or to bill must not vanish with them. Written for Postgres 15 to 18.

-- Roles and schemas ---------------------------------------------------------------------------------------------------

-- The role that the gateway's login is a member of. Hosted `postgres` has BYPASSRLS and needs it not; every plain
-- login (`create role … login in role jarvis_gateway`) gets all its rights from here. Roles belong to the whole
-- server, so a second database, or a second migration at the same moment, finds it made.
do $$
begin
  create role jarvis_gateway nologin;
exception when duplicate_object or unique_violation then
  null;
end
$$;

-- Private: the Data API never sees this schema.
create schema gateway;
comment on schema gateway is 'Private to the gateway: not exposed to the Data API, no rights for anon or authenticated.';
revoke all on schema gateway from public;
grant usage on schema gateway to jarvis_gateway;

-- What triggers do ----------------------------------------------------------------------------------------------------

create function gateway.stamp_update() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end
$$;
comment on function gateway.stamp_update() is 'Keeps updated_at true whoever writes.';
revoke all on function gateway.stamp_update() from public;

create function gateway.announce_instance() returns trigger
language plpgsql set search_path = '' as $$
begin
  -- "update of" fires for a column that is merely named in SET; replicas hear only of what really changed.
  if tg_op = 'UPDATE' and (old.state, old.private_ip, old.machine_id)
      is not distinct from (new.state, new.private_ip, new.machine_id) then
    return null;
  end if;
  -- Of one that is gone there is no state.
  perform pg_catalog.pg_notify(
    'instance_changed', pg_catalog.concat_ws(' ', coalesce(new.user_id, old.user_id), new.state)
  );
  return null;
end
$$;
comment on function gateway.announce_instance() is 'Tells every replica to drop what it cached about this user.';
revoke all on function gateway.announce_instance() from public;

create function gateway.announce_session_end() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('session_ended', pg_catalog.encode(old.id_hash, 'hex'));
  if old.supabase_session_id is not null and not exists (
    select from gateway.ended_logins e
    where e.user_id = old.user_id and e.supabase_session_id = old.supabase_session_id
  ) then
    insert into gateway.ended_logins (user_id, supabase_session_id, reason)
    values (old.user_id, old.supabase_session_id, 'session_over');
  end if;
  return null;
end
$$;
comment on function gateway.announce_session_end() is 'A sign-out here ends the session in every replica''s memory, and its login with it.';
revoke all on function gateway.announce_session_end() from public;

create function gateway.announce_login_end() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('login_ended', new.user_id::text);
  return null;
end
$$;
comment on function gateway.announce_login_end() is 'What a login opened has to be looked at anew, on every replica.';
revoke all on function gateway.announce_login_end() from public;

create function gateway.announce_token_end() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('token_ended', old.id);
  return null;
end
$$;
comment on function gateway.announce_token_end() is 'A revoked token opens nothing from now on, on any replica.';
revoke all on function gateway.announce_token_end() from public;

create function gateway.announce_standing() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('standing_changed', coalesce(new.user_id, old.user_id)::text);
  return null;
end
$$;
comment on function gateway.announce_standing() is 'Whether a user may come in has to be asked anew, on every replica.';
revoke all on function gateway.announce_standing() from public;

create function gateway.announce_plan() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('plan_changed', coalesce(new.user_id, old.user_id)::text);
  return null;
end
$$;
comment on function gateway.announce_plan() is 'Tells every replica that this user''s plan has to be read anew.';
revoke all on function gateway.announce_plan() from public;

create function gateway.announce_audit() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('audit_written', new.id::text);
  return null;
end
$$;
comment on function gateway.announce_audit() is 'Whoever follows the log hears that it grew.';
revoke all on function gateway.announce_audit() from public;

create function gateway.announce_switch() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('switch_changed', new.name);
  return null;
end
$$;
comment on function gateway.announce_switch() is 'Every replica follows at once.';
revoke all on function gateway.announce_switch() from public;

create function gateway.refuse_change() returns trigger
language plpgsql set search_path = '' as $$
begin
  if tg_op = 'DELETE' and current_setting('gateway.pruning', true) = 'on' then
    return null;
  end if;
  raise exception '% is append only: % refused', tg_table_name, tg_op using errcode = 'insufficient_privilege';
end
$$;
comment on function gateway.refuse_change() is 'Binds also those whom grants do not bind: the owner and superusers. Retention alone deletes.';
revoke all on function gateway.refuse_change() from public;

-- public.user_instances -----------------------------------------------------------------------------------------------

create table public.user_instances (
  -- No foreign key to auth.users: the row must outlive its user until the Machine is destroyed at Fly, or nothing
  -- would know any more that there is something to destroy.
  user_id uuid not null constraint user_instances_pkey primary key,
  id uuid not null default gen_random_uuid() constraint user_instances_id_key unique,
  email text not null,
  state text not null,
  app_name text not null,
  machine_name text not null,
  region text not null,
  machine_id text,
  volume_id text,
  private_ip text,
  image text not null,
  error text,
  last_active timestamptz not null default now(),
  state_since timestamptz not null default now(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  isolation text not null default 'machine',
  app_id text,
  flycast_ip text,
  host_down_since timestamptz,
  guest text,
  volume_gb integer,
  former_image text,

  constraint user_instances_isolation_known check (isolation in ('app', 'machine')),
  constraint user_instances_state_known check (state in (
    'provisioning', 'active', 'draining', 'suspending', 'suspended', 'stopping', 'stopped', 'waking', 'failed',
    'deleting'
  )),
  -- DRAINING too: a hit leads from there straight back to ACTIVE.
  constraint user_instances_serving_has_endpoint check (
    state not in ('active', 'draining') or (machine_id is not null and private_ip is not null)
  ),
  constraint user_instances_volume_gb_natural check (volume_gb > 0),
  constraint user_instances_machine_name_key unique (app_name, machine_name),
  constraint user_instances_machine_id_key unique (app_name, machine_id)
);
comment on table public.user_instances is 'One user''s environment, with or without a Machine at Fly. At most one each.';
comment on column public.user_instances.id is 'Names the Instance in Fly metadata; the Guard''s key is derived from it.';
comment on column public.user_instances.state is 'Moved only by compare-and-set along provisioner.instance.STEPS.';
comment on column public.user_instances.app_id is 'Fly''s id of the app made for this Instance; null in the shared app.';
comment on column public.user_instances.flycast_ip is 'Leads through Fly Proxy into the app''s own network; with isolation app it becomes private_ip.';
comment on column public.user_instances.host_down_since is 'Since when Fly says that the Machine''s host is out of reach.';
comment on column public.user_instances.private_ip is 'Where the gateway reaches it: an IP literal; host:port only where the Machine is a local process.';
comment on column public.user_instances.guest is 'Size of the Machine, as provisioner.instance.Guest writes it; null: not known.';
comment on column public.user_instances.former_image is 'The image before the present one: where a rollout leads back to.';
comment on column public.user_instances.volume_gb is 'Size of the volume; null: not known. It only grows.';
comment on column public.user_instances.last_active is 'Latest activity, written in batches; never moves back.';

-- The sweeper's questions: who is quiet, who slept long, what is left half done.
create index user_instances_quiet on public.user_instances (last_active, user_id) where state = 'active';
create index user_instances_asleep on public.user_instances (state_since, user_id) where state = 'suspended';
create index user_instances_unfinished on public.user_instances (state_since)
  where state in ('provisioning', 'draining', 'suspending', 'stopping', 'waking', 'deleting');
-- The pool's: how many came lately.
create index user_instances_by_age on public.user_instances (created_at);
-- The operator's: a page of those in one state.
create index user_instances_by_state on public.user_instances (state, user_id);

create trigger stamp_update before update on public.user_instances
  for each row execute function gateway.stamp_update();

create trigger announce after insert or delete or update of state, private_ip, machine_id on public.user_instances
  for each row execute function gateway.announce_instance();

-- Hosted projects grant everything in public to the API roles by default: take it back, then give what is meant.
-- A user sees how their Instance is, not where it is. The service key reads only: a write past the gateway would
-- be a step without its audit row.
alter table public.user_instances enable row level security;
revoke all on public.user_instances from public, anon, authenticated, service_role;
grant select (user_id, email, state, region, last_active, state_since, created_at, updated_at)
  on public.user_instances to authenticated;
grant select on public.user_instances to service_role;
grant select, insert, update, delete on public.user_instances to jarvis_gateway;
create policy own_row on public.user_instances for select to authenticated
  using ((select auth.uid()) = user_id);
create policy gateway_all on public.user_instances to jarvis_gateway using (true) with check (true);

-- public.provisioning_queue -------------------------------------------------------------------------------------------

create table public.provisioning_queue (
  -- With the Instance goes its place in the queue.
  user_id uuid not null constraint provisioning_queue_pkey primary key
    constraint provisioning_queue_instance references public.user_instances (user_id) on delete cascade,
  error text not null,
  retry_count integer not null default 0,
  next_retry_at timestamptz not null,
  status text not null default 'waiting',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  priority smallint not null default 0,

  constraint provisioning_queue_priority_known check (priority in (0, 1)),
  constraint provisioning_queue_status_known check (status in ('waiting', 'dead')),
  constraint provisioning_queue_retry_count_natural check (retry_count >= 0)
);
comment on table public.provisioning_queue is 'Provisionings that failed and will be tried again.';
comment on column public.provisioning_queue.error is 'What went wrong last, in words for the user; user_instances.error has Fly''s.';
comment on column public.provisioning_queue.retry_count is 'Failures after the first.';
comment on column public.provisioning_queue.status is 'dead: given up until an operator or the user asks again.';
comment on column public.provisioning_queue.priority is '0: a user waits; 1: work in the background, after all users.';

create index provisioning_queue_due on public.provisioning_queue (next_retry_at) where status = 'waiting';
create index provisioning_queue_place on public.provisioning_queue (priority, created_at, user_id) where status = 'waiting';

create trigger stamp_update before update on public.provisioning_queue
  for each row execute function gateway.stamp_update();

alter table public.provisioning_queue enable row level security;
revoke all on public.provisioning_queue from public, anon, authenticated, service_role;
grant select (user_id, retry_count, next_retry_at, status, created_at) on public.provisioning_queue to authenticated;
grant select on public.provisioning_queue to service_role;
grant select, insert, update, delete on public.provisioning_queue to jarvis_gateway;
create policy own_row on public.provisioning_queue for select to authenticated
  using ((select auth.uid()) = user_id);
create policy gateway_all on public.provisioning_queue to jarvis_gateway using (true) with check (true);

-- public.user_subscriptions -------------------------------------------------------------------------------------------

create table public.user_subscriptions (
  user_id uuid not null constraint user_subscriptions_pkey primary key,
  plan text not null default 'free',
  status text not null default 'active',
  current_period_end timestamptz,
  provider text,
  provider_customer_id text,
  provider_subscription_id text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),

  constraint user_subscriptions_plan_known check (plan in ('free', 'starter', 'pro', 'enterprise')),
  constraint user_subscriptions_status_known check (status in ('active', 'trialing', 'past_due', 'canceled')),
  -- Two users never share one paid subscription; many have none.
  constraint user_subscriptions_provider_key unique (provider, provider_subscription_id)
);
comment on table public.user_subscriptions is 'The plan a user pays for. No row means free.';
comment on column public.user_subscriptions.provider_customer_id is 'The payment provider''s names for user and contract.';

create trigger stamp_update before update on public.user_subscriptions
  for each row execute function gateway.stamp_update();

create trigger announce_plan after insert or update or delete on public.user_subscriptions
  for each row execute function gateway.announce_plan();

alter table public.user_subscriptions enable row level security;
revoke all on public.user_subscriptions from public, anon, authenticated, service_role;
grant select (user_id, plan, status, current_period_end, created_at, updated_at)
  on public.user_subscriptions to authenticated;
grant select on public.user_subscriptions to service_role;
grant select, insert, update, delete on public.user_subscriptions to jarvis_gateway;
create policy own_row on public.user_subscriptions for select to authenticated
  using ((select auth.uid()) = user_id);
create policy gateway_all on public.user_subscriptions to jarvis_gateway using (true) with check (true);

-- public.instance_usage -----------------------------------------------------------------------------------------------

create table public.instance_usage (
  user_id uuid not null,
  day date not null,
  awake_seconds bigint not null default 0,
  requests bigint not null default 0,
  llm_input_tokens bigint not null default 0,
  llm_output_tokens bigint not null default 0,
  llm_cost_micros bigint not null default 0,
  bytes_in bigint not null default 0,
  bytes_out bigint not null default 0,

  constraint instance_usage_pkey primary key (user_id, day),
  -- A meter only counts up; a negative number is a bug that must not reach a bill.
  constraint instance_usage_natural check (
    least(awake_seconds, requests, llm_input_tokens, llm_output_tokens, llm_cost_micros, bytes_in, bytes_out) >= 0
  )
);
comment on table public.instance_usage is 'What a user consumed on one UTC day. Outlives the Instance: it is what is billed.';
comment on column public.instance_usage.llm_cost_micros is 'Millionths of a US dollar.';
comment on column public.instance_usage.bytes_in is 'Towards the Machine.';
comment on column public.instance_usage.bytes_out is 'Towards the user.';

create index instance_usage_by_day on public.instance_usage (day);

alter table public.instance_usage enable row level security;
revoke all on public.instance_usage from public, anon, authenticated, service_role;
grant select on public.instance_usage to authenticated, service_role;
grant select, insert, update, delete on public.instance_usage to jarvis_gateway;
create policy own_row on public.instance_usage for select to authenticated
  using ((select auth.uid()) = user_id);
create policy gateway_all on public.instance_usage to jarvis_gateway using (true) with check (true);

-- gateway.sessions ----------------------------------------------------------------------------------------------------

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
  realm text not null default 'public',

  constraint sessions_id_hash_is_sha256 check (octet_length(id_hash) = 32),
  constraint sessions_realm_known check (realm in ('public', 'account'))
);
comment on table gateway.sessions is 'Who is signed in on which browser.';
comment on column gateway.sessions.id_hash is 'SHA-256 of the cookie''s value: this table alone opens no session.';
comment on column gateway.sessions.access_token is 'Encrypted by the gateway, like refresh_token.';
comment on column gateway.sessions.claims is 'The verified claims of the access token, as of the latest refresh.';
comment on column gateway.sessions.realm is 'The origin whose cookie it is; one origin''s cookie is worth nothing at the other.';

create index sessions_by_user on gateway.sessions (user_id);
create index sessions_by_supabase_session on gateway.sessions (supabase_session_id);
create index sessions_by_expiry on gateway.sessions (expires_at);

create trigger announce_end after delete on gateway.sessions
  for each row execute function gateway.announce_session_end();

grant select, insert, update, delete on gateway.sessions to jarvis_gateway;

-- gateway.access_tokens -----------------------------------------------------------------------------------------------

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

grant select, insert, update, delete on gateway.access_tokens to jarvis_gateway;

-- gateway.ended_logins ------------------------------------------------------------------------------------------------

create table gateway.ended_logins (
  id bigint generated always as identity constraint ended_logins_pkey primary key,
  user_id uuid not null,
  supabase_session_id uuid,
  reason text not null,
  ended_at timestamptz not null default now(),

  constraint ended_logins_reason_known check (reason in ('session_over', 'signed_out_everywhere', 'banned', 'deleted'))
);
comment on table gateway.ended_logins is 'Logins at Supabase whose access tokens count for nothing. Kept for as long as one of those may live.';
comment on column gateway.ended_logins.supabase_session_id is 'Null: every login of this user that began before ended_at.';
comment on column gateway.ended_logins.reason is 'With banned and deleted, personal access tokens end too.';

create index ended_logins_by_user on gateway.ended_logins (user_id);
create index ended_logins_by_time on gateway.ended_logins (ended_at);

create trigger announce after insert on gateway.ended_logins
  for each row execute function gateway.announce_login_end();

grant select, insert, delete on gateway.ended_logins to jarvis_gateway;

create function gateway.hear_of_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- This runs within Supabase Auth's own transaction: it locks nothing that others hold, and never makes it fail.
  begin
    if tg_op = 'DELETE' then
      insert into gateway.ended_logins (user_id, reason) values (old.id, 'deleted');
    elsif new.deleted_at is not null then
      insert into gateway.ended_logins (user_id, reason) values (new.id, 'deleted');
    elsif new.banned_until > pg_catalog.now() then
      insert into gateway.ended_logins (user_id, reason) values (new.id, 'banned');
    end if;
  exception when others then
    raise warning 'the gateway did not hear of user %: %', coalesce(new.id, old.id), sqlerrm;
  end;
  return null;
end
$$;
comment on function gateway.hear_of_user() is 'Who is banned or deleted at Supabase is out here within moments.';
revoke all on function gateway.hear_of_user() from public;

create function gateway.hear_of_session() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  begin
    if not exists (
      select from gateway.ended_logins e where e.user_id = old.user_id and e.supabase_session_id = old.id
    ) then
      insert into gateway.ended_logins (user_id, supabase_session_id, reason)
      values (old.user_id, old.id, 'session_over');
    end if;
  exception when others then
    raise warning 'the gateway did not hear of the end of session %: %', old.id, sqlerrm;
  end;
  return null;
end
$$;
comment on function gateway.hear_of_session() is 'Who signs out at Supabase is signed out here within moments.';
revoke all on function gateway.hear_of_session() from public;

-- Supabase lets a project put triggers on these two tables. Where it does not, ends at Supabase are noticed at the next
-- refresh, as before.
do $$
begin
  create trigger gateway_hears after delete or update of banned_until, deleted_at on auth.users
    for each row execute function gateway.hear_of_user();
  create trigger gateway_hears after delete on auth.sessions
    for each row execute function gateway.hear_of_session();
exception when insufficient_privilege or undefined_table or undefined_column or invalid_schema_name then
  raise warning 'no triggers on schema auth (%): bans are noticed at the next refresh only', sqlerrm;
end
$$;

-- gateway.visits -----------------------------------------------------------------------------------------------------

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

-- gateway.signups -----------------------------------------------------------------------------------------------------

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

grant select, insert, update, delete on gateway.signups to jarvis_gateway;

-- gateway.deletions ---------------------------------------------------------------------------------------------------

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

grant select, insert, update, delete on gateway.deletions to jarvis_gateway;

-- gateway.instance_leases ---------------------------------------------------------------------------------------------

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

grant select, insert, update, delete on gateway.instance_leases to jarvis_gateway;
grant usage on sequence gateway.lease_fences to jarvis_gateway;

-- gateway.spares ------------------------------------------------------------------------------------------------------

create table gateway.spares (
  id uuid not null constraint spares_pkey primary key,
  state text not null,
  isolation text not null,
  app_name text not null,
  machine_name text not null,
  region text not null,
  app_id text,
  flycast_ip text,
  volume_id text,
  machine_id text,
  private_ip text,
  image text not null,
  guest text not null,
  volume_gb integer not null,
  user_id uuid,
  created_at timestamptz not null default now(),
  state_since timestamptz not null default now(),

  constraint spares_state_known check (state in ('making', 'ready', 'claimed', 'doomed')),
  constraint spares_isolation_known check (isolation in ('app', 'machine')),
  constraint spares_ready_is_whole check (
    state <> 'ready' or (machine_id is not null and volume_id is not null and private_ip is not null)
  ),
  constraint spares_claimed_by_somebody check (state <> 'claimed' or user_id is not null),
  -- Whoever had it keeps it or nobody has it: a claimed one is never for another.
  constraint spares_unclaimed_is_nobodys check (state not in ('making', 'ready') or user_id is null),
  constraint spares_machine_name_key unique (app_name, machine_name)
);
comment on table gateway.spares is 'Machines made ahead. The id becomes that of the Instance which claims it.';
comment on column gateway.spares.state is 'Moved only by compare-and-set along provisioner.spares.SPARE_STEPS.';

create index spares_ready on gateway.spares (state_since) where state = 'ready';

grant select, insert, update, delete on gateway.spares to jarvis_gateway;

-- gateway.kept_volumes ------------------------------------------------------------------------------------------------

create table gateway.kept_volumes (
  volume_id text not null constraint kept_volumes_pkey primary key,
  app_name text not null,
  user_id uuid not null,
  reason text not null,
  kept_at timestamptz not null default now()
);
comment on table gateway.kept_volumes is 'Volumes at Fly that a user''s data moved away from. Destroyed with the account, never before.';

create index kept_volumes_by_user on gateway.kept_volumes (user_id);

grant select, insert, delete on gateway.kept_volumes to jarvis_gateway;

-- gateway.fly_turns ---------------------------------------------------------------------------------------------------

create table gateway.fly_turns (
  action text not null,
  thing text not null,
  full_at timestamptz not null,

  constraint fly_turns_pkey primary key (action, thing)
);
comment on table gateway.fly_turns is 'Token buckets that all replicas share: one for each action on an app that they all use.';
comment on column gateway.fly_turns.full_at is 'When all of the burst is available again; by the database''s clock.';

grant select, insert, update on gateway.fly_turns to jarvis_gateway;

-- gateway.rollouts ----------------------------------------------------------------------------------------------------

create table gateway.rollouts (
  id uuid not null default gen_random_uuid() constraint rollouts_pkey primary key,
  state text not null,
  image text not null,
  golden_image text not null,
  base_image text not null,
  steps integer[] not null,
  step integer not null default 0,
  tolerance double precision not null,
  proof integer not null,
  soak_s double precision not null,
  hurry boolean not null,
  actor text not null,
  why text not null default '',
  created_at timestamptz not null default now(),
  state_since timestamptz not null default now(),
  step_since timestamptz not null default now(),

  constraint rollouts_state_known check (state in ('running', 'paused', 'halted', 'done', 'returning', 'returned')),
  constraint rollouts_step_exists check (step >= 0 and step < cardinality(steps)),
  constraint rollouts_numbers_natural check (tolerance >= 0 and tolerance <= 1 and proof >= 0 and soak_s >= 0)
);
comment on table gateway.rollouts is 'Golden images on their way to everybody. State moves along provisioner.images.ROLLOUT_STEPS.';

-- One image at a time is on its way.
create unique index rollouts_one_open on gateway.rollouts ((true))
  where state in ('running', 'paused', 'halted');

create table gateway.rollout_moves (
  rollout_id uuid not null constraint rollout_moves_rollout references gateway.rollouts (id) on delete cascade,
  user_id uuid not null,
  from_image text not null,
  outcome text not null default 'moved',
  error text,
  at timestamptz not null default now(),

  constraint rollout_moves_pkey primary key (rollout_id, user_id),
  constraint rollout_moves_outcome_known check (outcome in ('moved', 'ready', 'failed'))
);
comment on table gateway.rollout_moves is 'Who got the new image, and how they came up on it first.';

create function gateway.rollout_bucket(rollout uuid, user_id uuid) returns integer
language sql immutable set search_path = '' as $$
  -- As provisioner.images.bucket in Python.
  select (('x' || substr(encode(sha256(convert_to(rollout || ':' || user_id, 'UTF8')), 'hex'), 1, 8))::bit(32)::bigint
    & 4294967295)::bigint % 10000
$$;
comment on function gateway.rollout_bucket(uuid, uuid) is '0 to 9999: whose turn it is in a rollout.';
revoke all on function gateway.rollout_bucket(uuid, uuid) from public;
grant execute on function gateway.rollout_bucket(uuid, uuid) to jarvis_gateway;

create function gateway.announce_rollout() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('rollout_changed', '');
  return null;
end
$$;
comment on function gateway.announce_rollout() is 'Tells every replica to read the newest rollout anew.';
revoke all on function gateway.announce_rollout() from public;

create trigger announce_rollout after insert or update on gateway.rollouts
  for each statement execute function gateway.announce_rollout();
create trigger announce_failure after insert or update on gateway.rollout_moves
  for each row when (new.outcome = 'failed') execute function gateway.announce_rollout();

grant select, insert, update on gateway.rollouts to jarvis_gateway;
grant select, insert, update on gateway.rollout_moves to jarvis_gateway;

-- gateway.audit_log ---------------------------------------------------------------------------------------------------

create table gateway.audit_log (
  id bigint generated always as identity constraint audit_log_pkey primary key,
  at timestamptz not null default now(),
  actor text not null,
  action text not null,
  user_id uuid,
  from_state text,
  to_state text,
  detail jsonb not null default '{}',
  hash bytea not null,

  constraint audit_log_at_finite check (isfinite(at)),
  constraint audit_log_hash_is_sha256 check (octet_length(hash) = 32)
);
comment on table gateway.audit_log is 'Everything that was done, and by whom. Rows are only ever added.';
comment on column gateway.audit_log.actor is 'A user id, an operator''s name, or a part of the gateway such as "sweeper".';
comment on column gateway.audit_log.hash is 'SHA-256 of the hash before and this row, by gateway.audit_link.';

create index audit_log_by_user on gateway.audit_log (user_id, id);
create index audit_log_by_time on gateway.audit_log (at);

create trigger append_only before update or delete or truncate on gateway.audit_log
  for each statement execute function gateway.refuse_change();
-- Also where session_replication_role silences ordinary triggers.
alter table gateway.audit_log enable always trigger append_only;

create table gateway.audit_head (
  single boolean not null default true constraint audit_head_pkey primary key,
  id bigint not null,
  hash bytea not null,

  constraint audit_head_single check (single)
);
comment on table gateway.audit_head is 'The last row of the audit log, so that a log cut short is noticed. Only its trigger writes here.';
insert into gateway.audit_head (id, hash) values (0, decode(repeat('00', 32), 'hex'));

create function gateway.audit_link(previous bytea, entry gateway.audit_log) returns bytea
language sql stable set search_path = '' as $$
  -- Each field with its length before it, so that no two rows are written alike; `-` is null. `provisioner.audit` says
  -- the same in Python.
  select sha256(previous || convert_to(string_agg(coalesce(octet_length(field) || ':' || field, '-'), '' order by n), 'UTF8'))
  from unnest(array[
    entry.id::text, to_char(entry.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), entry.actor, entry.action,
    entry.user_id::text, entry.from_state, entry.to_state, entry.detail::text
  ]) with ordinality as fields (field, n)
$$;
comment on function gateway.audit_link(bytea, gateway.audit_log) is 'The hash of a row, which stands on that of the row before.';
revoke all on function gateway.audit_link(bytea, gateway.audit_log) from public;

create function gateway.chain_audit() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  head gateway.audit_head;
begin
  -- The lock is held until the row is committed: rows enter the chain one by one, in the order of their ids, without
  -- gaps. Whoever reads the head next sees this one.
  select * into strict head from gateway.audit_head for update;
  new.id := head.id + 1;
  new.hash := gateway.audit_link(head.hash, new);
  update gateway.audit_head set id = new.id, hash = new.hash;
  return new;
end
$$;
comment on function gateway.chain_audit() is 'Numbers and hashes a row, whatever the writer wanted them to be.';
revoke all on function gateway.chain_audit() from public;

create function gateway.prune_audit(older_than timestamptz, most integer) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
  upto bigint;
  link bytea;
  gone bigint;
begin
  if older_than > now() - interval '30 days' then
    raise exception 'audit rows of the last 30 days are kept' using errcode = 'insufficient_privilege';
  end if;
  perform from gateway.audit_head for update;
  select coalesce(min(id) - 1, (select max(id) from gateway.audit_log)) into upto
  from gateway.audit_log where at >= older_than;
  select least(upto, min(id) + most - 1) into upto from gateway.audit_log;
  select hash into link from gateway.audit_log where id = upto;
  if not found then
    return 0;
  end if;
  perform set_config('gateway.pruning', 'on', true);
  delete from gateway.audit_log where id <= upto;
  get diagnostics gone = row_count;
  perform set_config('gateway.pruning', '', true);
  insert into gateway.audit_log (at, actor, action, detail)
  values (now(), 'retention', 'audit_pruned', jsonb_build_object('upto', upto, 'hash', encode(link, 'hex'), 'rows', gone));
  return gone;
end
$$;
comment on function gateway.prune_audit(timestamptz, integer) is 'Drops the oldest rows; the row it adds says where the chain goes on.';
revoke all on function gateway.prune_audit(timestamptz, integer) from public;
grant execute on function gateway.prune_audit(timestamptz, integer) to jarvis_gateway;

create trigger chain before insert on gateway.audit_log
  for each row execute function gateway.chain_audit();
alter table gateway.audit_log enable always trigger chain;

create trigger announce after insert on gateway.audit_log
  for each row execute function gateway.announce_audit();

grant select, insert on gateway.audit_log to jarvis_gateway;
grant select on gateway.audit_head to jarvis_gateway;

-- gateway.switches ----------------------------------------------------------------------------------------------------

create table gateway.switches (
  name text not null constraint switches_pkey primary key,
  is_on boolean not null default false,
  message text not null default '',
  changed_at timestamptz,
  changed_by text,

  constraint switches_known check (name in ('pause_provisioning', 'pause_sweeps', 'maintenance'))
);
comment on table gateway.switches is 'What an operator may hold back for a while. Every switch has its row.';
comment on column gateway.switches.message is 'Why; users read it where the switch shows.';
insert into gateway.switches (name) values ('pause_provisioning'), ('pause_sweeps'), ('maintenance');

create trigger announce after update on gateway.switches
  for each row execute function gateway.announce_switch();

grant select, update on gateway.switches to jarvis_gateway;

-- gateway.webhooks ----------------------------------------------------------------------------------------------------

create table gateway.webhooks (
  id uuid not null default gen_random_uuid() constraint webhooks_pkey primary key,
  url text not null,
  actions text[] not null,
  sealed_secret bytea not null,
  last_id bigint not null,
  created_at timestamptz not null default now(),
  created_by text not null,

  constraint webhooks_some_actions check (cardinality(actions) > 0)
);
comment on table gateway.webhooks is 'Who outside hears of what is written into the audit log.';
comment on column gateway.webhooks.actions is 'Actions of the audit log; * is all of them.';
comment on column gateway.webhooks.sealed_secret is 'What deliveries are signed with, encrypted by the gateway.';
comment on column gateway.webhooks.last_id is 'Rows of the audit log up to this one were looked at.';

grant select, insert, update, delete on gateway.webhooks to jarvis_gateway;

-- gateway.webhook_deliveries ------------------------------------------------------------------------------------------

create table gateway.webhook_deliveries (
  id uuid not null default gen_random_uuid() constraint webhook_deliveries_pkey primary key,
  webhook_id uuid not null
    constraint webhook_deliveries_webhook references gateway.webhooks (id) on delete cascade,
  audit_id bigint not null,
  status text not null default 'waiting',
  tries integer not null default 0,
  next_try_at timestamptz not null,
  claimed_until timestamptz,
  answered integer,
  error text,
  created_at timestamptz not null,
  finished_at timestamptz,

  constraint webhook_deliveries_once unique (webhook_id, audit_id),
  constraint webhook_deliveries_status_known check (status in ('waiting', 'delivered', 'dead'))
);
comment on table gateway.webhook_deliveries is 'One row of the audit log for one webhook: to be sent, sent, or given up.';
comment on column gateway.webhook_deliveries.claimed_until is 'A replica sends it now; if it dies, another may from then on.';
comment on column gateway.webhook_deliveries.answered is 'The HTTP status that came back last.';

create index webhook_deliveries_due on gateway.webhook_deliveries (next_try_at) where status = 'waiting';
create index webhook_deliveries_by_age on gateway.webhook_deliveries (finished_at) where finished_at is not null;

grant select, insert, update, delete on gateway.webhook_deliveries to jarvis_gateway;

-- gateway.operator_sessions -------------------------------------------------------------------------------------------

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

-- gateway.replicas ----------------------------------------------------------------------------------------------------

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

-- gateway.fly_calls ---------------------------------------------------------------------------------------------------

create table gateway.fly_calls (
  hour timestamptz not null,
  ended text not null,
  n bigint not null,

  constraint fly_calls_pkey primary key (hour, ended),
  constraint fly_calls_n_natural check (n >= 0)
);
comment on table gateway.fly_calls is 'How calls to Fly ended, counted by the hour over all replicas. No row tells of one call.';
comment on column gateway.fly_calls.ended is '"answered", or the class of the failure.';

grant select, insert, update, delete on gateway.fly_calls to jarvis_gateway;

-- gateway.operators ---------------------------------------------------------------------------------------------------

create table gateway.operators (
  id uuid not null default gen_random_uuid() constraint operators_pkey primary key,
  name text not null constraint operators_name_key unique,
  role text not null,
  token_hash bytea not null constraint operators_token_hash_key unique,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz,

  constraint operators_role_known check (role in ('viewer', 'operator', 'owner')),
  constraint operators_name_plain check (name ~ '^[a-z][a-z0-9._-]{0,39}$'),
  constraint operators_token_hash_is_sha256 check (octet_length(token_hash) = 32)
);
comment on table gateway.operators is 'Who may use the admin listener. Rows stay after revocation: the audit log names them.';
comment on column gateway.operators.name is 'Never given to somebody else, or old audit rows would name the wrong one.';
comment on column gateway.operators.token_hash is 'SHA-256 of the token: this table alone opens nothing.';

-- Nobody becomes an owner by an update: what may change is only when a token was used, and that it is over.
grant select, insert, update (last_used_at, revoked_at) on gateway.operators to jarvis_gateway;

-- gateway.step_times --------------------------------------------------------------------------------------------------

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

grant select, insert, delete on gateway.step_times to jarvis_gateway;

-- gateway.idempotency_keys --------------------------------------------------------------------------------------------

create table gateway.idempotency_keys (
  caller text not null,
  key text not null,
  asked bytea not null,
  begun_at timestamptz not null,
  status integer,
  content_type text,
  sealed bytea,

  constraint idempotency_keys_pkey primary key (caller, key),
  constraint idempotency_keys_asked_is_sha256 check (octet_length(asked) = 32),
  constraint idempotency_keys_kept_whole check (
    (status is null) = (content_type is null) and (status is null) = (sealed is null)
  )
);
comment on table gateway.idempotency_keys is 'Changes of the last day that operators made under a key, and what was answered.';
comment on column gateway.idempotency_keys.asked is 'SHA-256 of method, path, query and body: the same key for another request is refused.';
comment on column gateway.idempotency_keys.status is 'Null: under way.';
comment on column gateway.idempotency_keys.sealed is 'The answer''s body, encrypted: some show a secret once.';

create index idempotency_keys_by_age on gateway.idempotency_keys (begun_at);

grant select, insert, update, delete on gateway.idempotency_keys to jarvis_gateway;

-- gateway.keep_awake --------------------------------------------------------------------------------------------------

create table gateway.keep_awake (
  user_id uuid not null constraint keep_awake_pkey primary key
    constraint keep_awake_instance references public.user_instances (user_id) on delete cascade,
  until timestamptz not null,
  asked_by text not null,
  asked_at timestamptz not null default now()
);
comment on table gateway.keep_awake is 'Instances that somebody wants awake for a while, however quiet they are.';

grant select, insert, update, delete on gateway.keep_awake to jarvis_gateway;

-- gateway.vigils ------------------------------------------------------------------------------------------------------

create table gateway.vigils (
  user_id uuid not null
    constraint vigils_instance references public.user_instances (user_id) on delete cascade,
  reason text not null,
  first_at timestamptz not null,
  last_at timestamptz not null,

  constraint vigils_pkey primary key (user_id, reason, first_at),
  constraint vigils_last_not_before_first check (last_at >= first_at)
);
comment on table gateway.vigils is 'When a Machine that was due to sleep was left awake, and why.';

create index vigils_by_time on gateway.vigils (last_at);

grant select, insert, update, delete on gateway.vigils to jarvis_gateway;

-- gateway.sightings ---------------------------------------------------------------------------------------------------

create table gateway.sightings (
  resource text not null,
  what text not null,
  app_name text not null,
  user_id uuid,
  detail jsonb not null default '{}',
  usd_per_month double precision not null default 0,
  times integer not null default 1,
  first_at timestamptz not null,
  last_at timestamptz not null,
  outcome text,

  constraint sightings_pkey primary key (app_name, resource, what),
  constraint sightings_times_counted check (times > 0)
);
comment on table gateway.sightings is 'What is at Fly and not in the records, or the other way round. Gone when it is no longer seen.';
comment on column gateway.sightings.outcome is 'What was done about it, or why nothing was. Null: it is watched.';

grant select, insert, update, delete on gateway.sightings to jarvis_gateway;

-- gateway.seen_volumes ------------------------------------------------------------------------------------------------

create table gateway.seen_volumes (
  volume_id text not null constraint seen_volumes_pkey primary key,
  instance_id uuid not null,
  gateway_env text not null,
  deployment text not null,
  seen_at timestamptz not null
);
comment on table gateway.seen_volumes is 'Disks that were mounted in a Machine with our tags: disks carry none, so this proves whose they are.';

grant select, insert, update, delete on gateway.seen_volumes to jarvis_gateway;

-- gateway.rounds ------------------------------------------------------------------------------------------------------

create table gateway.rounds (
  name text not null constraint rounds_pkey primary key,
  owner text not null,
  next_at timestamptz not null
);
comment on table gateway.rounds is 'Work that one replica does at a time, and when it is due again.';

grant select, insert, update, delete on gateway.rounds to jarvis_gateway;
