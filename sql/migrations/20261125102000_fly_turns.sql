-- Fly counts calls about the shared app from all replicas together, so they take their turns together.
create table gateway.fly_turns (
  action text not null,
  thing text not null,
  full_at timestamptz not null,

  constraint fly_turns_pkey primary key (action, thing)
);
comment on table gateway.fly_turns is 'Token buckets that all replicas share: one for each action on an app that they all use.';
comment on column gateway.fly_turns.full_at is 'When all of the burst is available again; by the database''s clock.';

grant select, insert, update on gateway.fly_turns to jarvis_gateway;
