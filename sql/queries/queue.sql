-- name: put_off(user_id, owner, fence, actor, error, words, next_retry_at, tries, priority, now)^
-- A provisioning failed: the step to FAILED, its place in the queue (or one failure more of the one that is there) and
-- the audit row, all or nothing. The failure that makes `tries` is the last, and leaves a second row, the dead letter.
-- No row back: it was not PROVISIONING, or the lease was lost.
with held as materialized (
  select from gateway.instance_leases
  where user_id = :user_id and owner = :owner and fence = :fence
  for share
), moved as (
  update public.user_instances
  set state = 'failed', state_since = :now, error = :error
  where user_id = :user_id and state = 'provisioning' and exists (select from held)
  returning user_id, email
), queued as (
  insert into public.provisioning_queue as q (user_id, error, next_retry_at, priority, created_at, status)
  select user_id, :words, :next_retry_at, :priority, :now, case when :tries::int <= 1 then 'dead' else 'waiting' end
  from moved
  on conflict (user_id) do update
  set error = excluded.error, next_retry_at = excluded.next_retry_at, retry_count = q.retry_count + 1,
      priority = least(q.priority, excluded.priority),
      status = case when q.retry_count + 2 >= :tries::int then 'dead' else 'waiting' end
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, from_state, to_state, detail)
  select :now, :actor, 'fail', user_id, 'provisioning', 'failed',
    jsonb_build_object('error', :error::text, 'attempt', retry_count + 1)
  from queued
  union all
  select :now, :actor, 'dead_letter', user_id, null, null,
    jsonb_build_object('error', :error::text, 'cause', error, 'attempts', retry_count + 1, 'since', created_at)
  from queued where status = 'dead'
)
select queued.*, moved.email, :error::text as cause, null::bigint as place from queued join moved using (user_id);

-- name: find_queued(user_id)^
-- With the place among all that wait: users first, then first come first. No place for one that was given up.
-- `cause` is the operator's version of `error`, here and below.
select q.*, i.email, i.error as cause, case when q.status = 'waiting' then (
  select count(*) from public.provisioning_queue ahead
  where ahead.status = 'waiting'
    and (ahead.priority, ahead.created_at, ahead.user_id) <= (q.priority, q.created_at, q.user_id)
) end as place
from public.provisioning_queue q join public.user_instances i using (user_id)
where q.user_id = :user_id;

-- name: due(now, most)
-- Those whose time has come: users first, then longest due, with their places among all that wait.
select waiting.*, i.email, i.error as cause from (
  select q.*, row_number() over (order by priority, created_at, user_id) as place
  from public.provisioning_queue q
  where status = 'waiting'
) as waiting join public.user_instances i using (user_id)
where next_retry_at <= :now
order by priority, next_retry_at, user_id
limit :most;

-- name: queue_page(status, after, most)
-- In order of user_id; `status` and `after` may be null.
select queued.*, i.email, i.error as cause from (
  select q.*, case when status = 'waiting' then row_number() over (
    partition by status order by priority, created_at, user_id
  ) end as place
  from public.provisioning_queue q
) as queued join public.user_instances i using (user_id)
where (:status::text is null or status = :status) and (:after::uuid is null or user_id > :after)
order by user_id
limit :most;

-- name: try_again_at(user_id, at, anew, actor, action, now)$
-- Another time for the next attempt; `anew` counts its failures from the start. One that was given up waits again.
with changed as (
  update public.provisioning_queue
  set next_retry_at = :at, status = 'waiting', retry_count = case when :anew::boolean then 0 else retry_count end
  where user_id = :user_id
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select :now, :actor, :action, user_id, jsonb_build_object('next_retry_at', next_retry_at) from changed
)
select user_id from changed;

-- name: drop_queued(user_id, actor, now)$
-- Out of the queue: nobody tries it any more until the user comes again.
with dropped as (
  delete from public.provisioning_queue where user_id = :user_id returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select :now, :actor, 'queue_drop', user_id, jsonb_build_object('cause', error, 'attempts', retry_count + 1)
  from dropped
)
select user_id from dropped;
