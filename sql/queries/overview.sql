-- name: count_states()
select state, count(*) as n from public.user_instances group by state;

-- name: users_now(since)$
select count(*) from public.user_instances where state = 'active' and last_active >= :since;

-- name: queue_depth()^
select count(*) filter (where status = 'waiting') as waiting, count(*) filter (where status = 'dead') as dead,
  min(created_at) filter (where status = 'waiting') as oldest
from public.provisioning_queue;

-- name: run_times(since, bucket)
-- How long whole bring-ups took: by path (`bucket` null), and by path and span of time. Seconds.
with runs as (
  select path, instance_id, at, sum(took_s) as took
  from gateway.step_times where at >= :since
  group by path, instance_id, at
), placed as (
  select path, took, date_bin(:bucket, at, :since) as bucket from runs
)
select path, bucket, count(*) as n,
  percentile_cont(0.5) within group (order by took) as p50,
  percentile_cont(0.95) within group (order by took) as p95,
  percentile_cont(0.99) within group (order by took) as p99
from placed
group by grouping sets ((path, bucket), (path))
order by path, bucket nulls first;

-- name: failures_by_reason(since)
-- Bring-ups that failed, and provisionings that were given up.
-- Ids are taken out of Fly's words, so that the same failure of many counts as one.
select action, coalesce(
  detail ->> 'kind', left(regexp_replace(detail ->> 'error', '[0-9a-f]{8,}[0-9a-f-]*', '…', 'g'), 60), 'unknown'
) as reason, count(*) as n
from gateway.audit_log
where at >= :since and action in ('fail', 'dead_letter')
group by 1, 2
order by n desc, reason
limit 12;

-- name: fly_calls(since)
-- Calls to Fly by the hour in which they ended and how, of all replicas together.
select hour, ended, n from gateway.fly_calls where hour > :since::timestamptz - interval '1 hour' order by hour, ended;

-- name: states_of_day(day, now)
-- How long each user's Instance was awake and asleep since `day`, in seconds, from the steps in the audit log.
with steps as materialized (
  select user_id, at, from_state, to_state,
    lead(at, 1, :now::timestamptz) over life as until, row_number() over life as n
  from gateway.audit_log
  where at >= :day and to_state is not null and user_id is not null
  window life as (partition by user_id order by id)
), spans as (
  select user_id, to_state as state, greatest(until - at, interval '0') as lasted from steps
  union all
  select user_id, from_state, at - :day::timestamptz from steps where n = 1 and from_state is not null
  union all
  select i.user_id, i.state, :now::timestamptz - greatest(i.created_at, :day::timestamptz)
  from public.user_instances i
  where not exists (select from steps s where s.user_id = i.user_id)
)
select user_id,
  coalesce(extract(epoch from sum(lasted) filter (
    where state in ('provisioning', 'waking', 'active', 'draining', 'suspending')
  )), 0)::float8 as awake_s,
  coalesce(extract(epoch from sum(lasted) filter (where state in ('suspended', 'stopping', 'stopped'))), 0)::float8
    as asleep_s
from spans
group by user_id;

-- name: in_trouble(stuck_before, awake_before, flaps_since, flaps, failures, most)
-- What an operator should look at, by kind, longest first.
select * from (
  select 'stuck' as kind, user_id, email, state, state_since as since, error, 0::bigint as times
  from public.user_instances
  where state in ('provisioning', 'waking', 'draining', 'suspending', 'stopping', 'deleting')
    and state_since < :stuck_before
  union all
  select case q.status when 'dead' then 'dead_letter' else 'failing' end, q.user_id, i.email, i.state, q.created_at,
    q.error, q.retry_count
  from public.provisioning_queue q join public.user_instances i using (user_id)
  where q.status = 'dead' or q.retry_count >= :failures
  union all
  select 'never_idle', user_id, email, state, state_since, error, 0
  from public.user_instances where state = 'active' and state_since < :awake_before
  union all
  select 'flapping', i.user_id, i.email, i.state, min(l.at), i.error, count(*)
  from gateway.audit_log l join public.user_instances i using (user_id)
  where l.at >= :flaps_since and l.action = 'wake'
  group by i.user_id having count(*) >= :flaps
) as found
order by since
limit :most;

-- name: addresses(users)
select user_id, email from public.user_instances where user_id = any(:users::uuid[]);

-- name: mishaps(rollout_id, most)
-- Who did not come up on the image of this rollout, the latest first.
select m.user_id, i.email, m.error, m.at
from gateway.rollout_moves m left join public.user_instances i using (user_id)
where m.rollout_id = :rollout_id and m.outcome = 'failed'
order by m.at desc
limit :most;

-- name: past_rollouts(most)
-- Those before the newest, with how they went.
select r.image, r.state, r.actor, r.why, r.created_at, r.state_since,
  (select count(*) from gateway.rollout_moves m where m.rollout_id = r.id and m.outcome = 'ready') as ready,
  (select count(*) from gateway.rollout_moves m where m.rollout_id = r.id and m.outcome = 'failed') as failed
from gateway.rollouts r
order by r.created_at desc, r.id
limit :most offset 1;

-- name: lease_on(user_id)^
select owner, fence, until from gateway.instance_leases where user_id = :user_id;

-- name: beat(name, version, started_at, now, loops, hours, ended, numbers)!
-- A replica lives, and tells how its calls to Fly ended since it last did. Those that were silent for a day are
-- forgotten, and calls of more than a month ago.
with gone as (
  delete from gateway.replicas where seen_at < :now::timestamptz - interval '1 day' and name <> :name
), past as (
  delete from gateway.fly_calls where hour < :now::timestamptz - interval '32 days'
), counted as (
  insert into gateway.fly_calls as c (hour, ended, n)
  select * from unnest(:hours::timestamptz[], :ended::text[], :numbers::bigint[]) as told (hour, ended, n)
  order by 1, 2 -- replicas take the rows in the same order, or they might wait for each other
  on conflict (hour, ended) do update set n = c.n + excluded.n
)
insert into gateway.replicas as r (name, version, started_at, seen_at, loops)
values (:name, :version, :started_at, :now, :loops::jsonb)
on conflict (name) do update
set version = excluded.version, started_at = excluded.started_at, seen_at = excluded.seen_at, loops = excluded.loops;

-- name: sign_off(name)!
delete from gateway.replicas where name = :name;

-- name: all_replicas()
select name, version, started_at, seen_at, loops::text as loops from gateway.replicas order by name;
