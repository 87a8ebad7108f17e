-- What an operator may hold back for a while, on every replica at once.

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

create function gateway.announce_switch() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('switch_changed', new.name);
  return null;
end
$$;
comment on function gateway.announce_switch() is 'Every replica follows at once.';
revoke all on function gateway.announce_switch() from public;

create trigger announce after update on gateway.switches
  for each row execute function gateway.announce_switch();

grant select, update on gateway.switches to jarvis_gateway;
