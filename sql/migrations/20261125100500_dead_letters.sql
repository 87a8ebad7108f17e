-- Who waits in the queue comes before what nobody waits for.
alter table public.provisioning_queue
  add column priority smallint not null default 0,
  add constraint provisioning_queue_priority_known check (priority in (0, 1));
comment on column public.provisioning_queue.priority is '0: a user waits; 1: work in the background, after all users.';
comment on column public.provisioning_queue.error is 'What went wrong last, in words for the user; user_instances.error has Fly''s.';
drop index public.provisioning_queue_place;
create index provisioning_queue_place on public.provisioning_queue (priority, created_at, user_id) where status = 'waiting';
