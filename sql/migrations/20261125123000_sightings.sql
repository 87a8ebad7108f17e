-- What the reconciler saw at Fly that the records do not explain, and which disks it saw in Machines of ours.

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

create table gateway.seen_volumes (
  volume_id text not null constraint seen_volumes_pkey primary key,
  instance_id uuid not null,
  gateway_env text not null,
  deployment text not null,
  seen_at timestamptz not null
);
comment on table gateway.seen_volumes is 'Disks that were mounted in a Machine with our tags: disks carry none, so this proves whose they are.';

grant select, insert, update, delete on gateway.seen_volumes to jarvis_gateway;

create table gateway.rounds (
  name text not null constraint rounds_pkey primary key,
  owner text not null,
  next_at timestamptz not null
);
comment on table gateway.rounds is 'Work that one replica does at a time, and when it is due again.';

grant select, insert, update, delete on gateway.rounds to jarvis_gateway;
