-- The sweeper reads those who are quiet in pages, by instant and user: with the user in the index too a page is read and
-- not sorted, also where thousands share an instant.
drop index if exists public.user_instances_quiet;
create index user_instances_quiet on public.user_instances (last_active, user_id) where state = 'active';
drop index if exists public.user_instances_asleep;
create index user_instances_asleep on public.user_instances (state_since, user_id) where state = 'suspended';
