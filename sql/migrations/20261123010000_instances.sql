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

create function gateway.stamp_update() returns trigger
language plpgsql set search_path = '' as $$
begin
  new.updated_at := now();
  return new;
end
$$;
comment on function gateway.stamp_update() is 'Keeps updated_at true whoever writes.';
revoke all on function gateway.stamp_update() from public;

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

  constraint user_instances_state_known check (state in (
    'provisioning', 'active', 'draining', 'suspending', 'suspended', 'stopping', 'stopped', 'waking', 'failed',
    'deleting'
  )),
  -- DRAINING too: a hit leads from there straight back to ACTIVE.
  constraint user_instances_serving_has_endpoint check (
    state not in ('active', 'draining') or (machine_id is not null and private_ip is not null)
  ),
  constraint user_instances_machine_name_key unique (app_name, machine_name),
  constraint user_instances_machine_id_key unique (app_name, machine_id)
);
comment on table public.user_instances is 'One user''s environment, with or without a Machine at Fly. At most one each.';
comment on column public.user_instances.id is 'Names the Instance in Fly metadata; the Guard''s key is derived from it.';
comment on column public.user_instances.state is 'Moved only by compare-and-set along provisioner.instance.STEPS.';
comment on column public.user_instances.private_ip is 'An IP literal; host:port only where the Machine is a local process.';
comment on column public.user_instances.last_active is 'Latest activity, written in batches; never moves back.';

-- The sweeper's questions: who is quiet, who slept long, what is left half done.
create index user_instances_quiet on public.user_instances (last_active) where state = 'active';
create index user_instances_asleep on public.user_instances (state_since) where state = 'suspended';
create index user_instances_unfinished on public.user_instances (state_since)
  where state in ('provisioning', 'draining', 'suspending', 'stopping', 'waking', 'deleting');
-- The operator's: a page of those in one state.
create index user_instances_by_state on public.user_instances (state, user_id);

create trigger stamp_update before update on public.user_instances
  for each row execute function gateway.stamp_update();

create function gateway.announce_instance() returns trigger
language plpgsql set search_path = '' as $$
begin
  -- "update of" fires for a column that is merely named in SET; replicas hear only of what really changed.
  if tg_op = 'UPDATE' and (old.state, old.private_ip, old.machine_id)
      is not distinct from (new.state, new.private_ip, new.machine_id) then
    return null;
  end if;
  perform pg_catalog.pg_notify('instance_changed', coalesce(new.user_id, old.user_id)::text);
  return null;
end
$$;
comment on function gateway.announce_instance() is 'Tells every replica to drop what it cached about this user.';
revoke all on function gateway.announce_instance() from public;

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
