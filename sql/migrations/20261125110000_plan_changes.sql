-- A change of plan is told to every replica: limits follow at once.

create function gateway.announce_plan() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('plan_changed', coalesce(new.user_id, old.user_id)::text);
  return null;
end
$$;
comment on function gateway.announce_plan() is 'Tells every replica that this user''s plan has to be read anew.';
revoke all on function gateway.announce_plan() from public;

create trigger announce_plan after insert or update or delete on public.user_subscriptions
  for each row execute function gateway.announce_plan();
