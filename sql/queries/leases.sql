-- name: acquire_lease(user_id, owner, until, now)^
-- Take it if it is free, run out or ours. No row back: another holds it.
-- The fence is drawn under the row's lock, not taken from `excluded`: of two at once the later must have the higher.
insert into gateway.instance_leases as l (user_id, owner, until)
values (:user_id, :owner, :until)
on conflict (user_id) do update
set owner = excluded.owner, until = excluded.until, fence = nextval('gateway.lease_fences')
where l.owner is null or l.owner = excluded.owner or l.until <= :now
returning fence;

-- name: renew_lease(user_id, owner, fence, until)$
-- A later end for the same fence. No row back: it was lost. One that ran out untaken is still ours.
update gateway.instance_leases set until = :until
where user_id = :user_id and owner = :owner and fence = :fence
returning fence;

-- name: release_lease(user_id, owner, fence)!
-- Give it back. The row stays, and with it the fence.
update gateway.instance_leases set owner = null
where user_id = :user_id and owner = :owner and fence = :fence;
