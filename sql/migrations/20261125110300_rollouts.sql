-- Rollouts of golden images, and which image an Instance had before.

alter table public.user_instances add column former_image text;
comment on column public.user_instances.former_image is 'The image before the present one: where a rollout leads back to.';

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
