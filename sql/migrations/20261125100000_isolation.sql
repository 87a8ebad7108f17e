-- Where a user's Machine lives: in an app and a network of its own, or in the app that all share. Of the row, not of the
-- settings: who was made one way stays so.
alter table public.user_instances
  add column isolation text not null default 'machine',
  add column app_id text,
  add column flycast_ip text,
  add constraint user_instances_isolation_known check (isolation in ('app', 'machine'));
comment on column public.user_instances.app_id is 'Fly''s id of the app made for this Instance; null in the shared app.';
comment on column public.user_instances.flycast_ip is 'Leads through Fly Proxy into the app''s own network; with isolation app it becomes private_ip.';
comment on column public.user_instances.private_ip is 'Where the gateway reaches it: an IP literal; host:port only where the Machine is a local process.';
