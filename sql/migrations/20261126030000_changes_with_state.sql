-- Who hears that an Instance changed hears its state too: most of what there is to do about it needs no look at the row.
create or replace function gateway.announce_instance() returns trigger
language plpgsql set search_path = '' as $$
begin
  -- "update of" fires for a column that is merely named in SET; replicas hear only of what really changed.
  if tg_op = 'UPDATE' and (old.state, old.private_ip, old.machine_id)
      is not distinct from (new.state, new.private_ip, new.machine_id) then
    return null;
  end if;
  -- Of one that is gone there is no state.
  perform pg_catalog.pg_notify(
    'instance_changed', pg_catalog.concat_ws(' ', coalesce(new.user_id, old.user_id), new.state)
  );
  return null;
end
$$;
comment on function gateway.announce_instance() is 'Tells every replica to drop what it cached about this user.';
