-- name: all_switches()
select name, is_on, message, changed_at, changed_by from gateway.switches order by name;

-- name: flip_switch(name, is_on, message, actor, now)^
-- With its audit row. The row as it is now, also where nothing had to change.
with flipped as (
  update gateway.switches set is_on = :is_on, message = :message, changed_at = :now, changed_by = :actor
  where name = :name and (is_on, message) is distinct from (:is_on, :message)
  returning name, is_on, message, changed_at, changed_by
), audited as (
  insert into gateway.audit_log (at, actor, action, detail)
  select :now, :actor, 'switch', jsonb_build_object('switch', name, 'on', is_on, 'message', message) from flipped
)
select * from flipped
union all
select name, is_on, message, changed_at, changed_by from gateway.switches
where name = :name and not exists (select from flipped);
