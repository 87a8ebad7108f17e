-- name: acquire_lease(user_id, owner, until, now)^
-- Take it if it is free, run out or ours. No row back: another holds it.
-- The fence is drawn under the row's lock, not taken from `excluded`: of two at once the later must have the higher.
insert into gateway.instance_leases as l (user_id, owner, until)
values (:user_id, :owner, :until)
on conflict (user_id) do update
set owner = excluded.owner, until = excluded.until, fence = nextval('gateway.lease_fences')
where l.owner is null or l.owner = excluded.owner or l.until <= :now
returning fence;

-- name: wake(user_id, owner, until, from_state, to_state, actor, now)^
-- As acquire_lease, and with the lease the first step of a wake, with its audit row. The fence alone in the row that comes
-- back: it is not in `from_state` any more.
with taken as materialized (
  insert into gateway.instance_leases as l (user_id, owner, until)
  values (:user_id, :owner, :until)
  on conflict (user_id) do update
  set owner = excluded.owner, until = excluded.until, fence = nextval('gateway.lease_fences')
  where l.owner is null or l.owner = excluded.owner or l.until <= :now
  returning fence
), moved as (
  update public.user_instances
  set state = :to_state, state_since = :now, error = null
  where user_id = :user_id and state = :from_state and exists (select from taken)
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, from_state, to_state)
  select :now, :actor, 'wake', user_id, :from_state, :to_state from moved
)
select taken.fence, moved.* from taken left join moved on true;

-- name: renew_lease(user_id, owner, fence, until)$
-- A later end for the same fence. No row back: it was lost. One that ran out untaken is still ours.
update gateway.instance_leases set until = :until
where user_id = :user_id and owner = :owner and fence = :fence
returning fence;

-- name: release_leases(user_ids, owners, fences)!
-- Give them back. The rows stay, and with them the fences.
update gateway.instance_leases as l set owner = null
from unnest(:user_ids::uuid[], :owners::text[], :fences::bigint[]) as held (user_id, owner, fence)
where l.user_id = held.user_id and l.owner = held.owner and l.fence = held.fence;
