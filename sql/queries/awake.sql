-- name: keep_awake(user_id, until, asked, actor, now)^
-- Keep an Instance awake until then, or no longer if that is now; with its audit row. No row back: there is none.
with found as (
  select user_id from public.user_instances where user_id = :user_id and state <> 'deleting'
), kept as (
  insert into gateway.keep_awake as k (user_id, until, asked_by, asked_at)
  select user_id, :until, :actor, :now from found
  on conflict (user_id) do update
  set until = excluded.until, asked_by = excluded.asked_by, asked_at = excluded.asked_at
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select :now, :actor, 'extend', user_id,
    jsonb_build_object('until', :until::timestamptz, 'asked', :asked::timestamptz)
  from kept
)
select * from kept;

-- name: kept_awake_until(user_id)$
select until from gateway.keep_awake where user_id = :user_id;

-- name: note_vigils(user_ids, reasons, now, since)!
-- They were due to sleep and are left awake. One that goes on for the same reason since `since` becomes longer.
with found as (
  select user_id, min(reason) as reason
  from unnest(:user_ids::uuid[], :reasons::text[]) as noted (user_id, reason)
  group by user_id
), longer as (
  update gateway.vigils v set last_at = greatest(v.last_at, :now)
  from found f
  where v.user_id = f.user_id and v.reason = f.reason and v.last_at >= :since
  returning v.user_id
)
insert into gateway.vigils (user_id, reason, first_at, last_at)
select f.user_id, f.reason, :now, :now
from found f join public.user_instances using (user_id)
where f.user_id not in (select user_id from longer)
on conflict do nothing;

-- name: vigils_of(user_id, most)
-- Newest first.
select reason, first_at, last_at from gateway.vigils where user_id = :user_id order by last_at desc limit :most;

-- name: prune_vigils(older_than)!
delete from gateway.vigils where last_at < :older_than;

-- name: naps(since, shorter_than, at_least)
-- Who was woken again and again soon after they were put to sleep, and how often.
select user_id, count(*) as naps
from (
  select user_id, at, action, lag(action) over life as before, lag(at) over life as slept_at
  from gateway.audit_log
  where at >= :since and action in ('suspend', 'stop', 'asleep', 'wake') and user_id is not null
  window life as (partition by user_id order by id)
) as steps
where action = 'wake' and before in ('suspend', 'stop', 'asleep') and at - slept_at < :shorter_than::interval
group by user_id
having count(*) >= :at_least;
