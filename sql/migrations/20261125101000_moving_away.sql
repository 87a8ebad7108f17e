-- A host may be out of reach, or full: then a user's disk moves, and the old one stays until the account goes.
alter table public.user_instances add column host_down_since timestamptz;
comment on column public.user_instances.host_down_since is 'Since when Fly says that the Machine''s host is out of reach.';

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
