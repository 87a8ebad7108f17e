-- What keeps Machines awake: what somebody asked for, and what the sweeper found when they were due to sleep.

create table gateway.keep_awake (
  user_id uuid not null constraint keep_awake_pkey primary key
    constraint keep_awake_instance references public.user_instances (user_id) on delete cascade,
  until timestamptz not null,
  asked_by text not null,
  asked_at timestamptz not null default now()
);
comment on table gateway.keep_awake is 'Instances that somebody wants awake for a while, however quiet they are.';

grant select, insert, update, delete on gateway.keep_awake to jarvis_gateway;

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
