-- How calls to Fly end, for the operators' chart.

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
