-- The warm pool: Machines made ahead, for whoever comes next.

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

-- Its size follows first visits.
create index user_instances_by_age on public.user_instances (created_at);
