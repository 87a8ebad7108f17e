-- name: add_webhook(id, url, actions, sealed_secret, actor, now)^
-- It hears of what happens from now on. With its audit row.
with made as (
  insert into gateway.webhooks (id, url, actions, sealed_secret, last_id, created_at, created_by)
  select :id, :url, :actions, :sealed_secret, id, :now, :actor from gateway.audit_head
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, detail)
  select :now, :actor, 'webhook_added', jsonb_build_object('webhook', id, 'url', url, 'actions', to_jsonb(actions)) from made
)
select id, url, actions, created_at, created_by, 0 as waiting, 0 as dead from made;

-- name: all_webhooks()
select w.id, w.url, w.actions, w.created_at, w.created_by,
  count(d.id) filter (where d.status = 'waiting') as waiting,
  count(d.id) filter (where d.status = 'dead') as dead
from gateway.webhooks w left join gateway.webhook_deliveries d on d.webhook_id = w.id
group by w.id
order by w.created_at, w.id;

-- name: remove_webhook(id, actor, now)^
with gone as (
  delete from gateway.webhooks where id = :id returning id, url
), audited as (
  insert into gateway.audit_log (at, actor, action, detail)
  select :now, :actor, 'webhook_removed', jsonb_build_object('webhook', id, 'url', url) from gone
)
select id from gone;

-- name: test_webhook(id, actor, now)^
-- A row in the log for this webhook alone, to be sent at once.
with known as (
  select id from gateway.webhooks where id = :id
), written as (
  insert into gateway.audit_log (at, actor, action, detail)
  select :now, :actor, 'webhook_test', jsonb_build_object('webhook', id) from known
  returning id
)
insert into gateway.webhook_deliveries (webhook_id, audit_id, next_try_at, created_at)
select known.id, written.id, :now, :now from known, written
returning id, webhook_id, audit_id, status, tries, next_try_at, answered, error, created_at, finished_at;

-- name: deliveries_of(id, status, before, most)
-- Newest first; `status` and `before`, a row of the audit log, may be null.
select id, webhook_id, audit_id, status, tries, next_try_at, answered, error, created_at, finished_at
from gateway.webhook_deliveries
where webhook_id = :id and (:status::text is null or status = :status)
  and (:before::bigint is null or audit_id < :before)
order by audit_id desc
limit :most;

-- name: webhook_exists(id)$
select exists (select from gateway.webhooks where id = :id);

-- name: retry_delivery(id, webhook_id, now)^
-- Given up or waiting: try at once, and as often as a new one.
update gateway.webhook_deliveries
set status = 'waiting', tries = 0, next_try_at = :now, finished_at = null
where id = :id and webhook_id = :webhook_id and status <> 'delivered'
returning id, webhook_id, audit_id, status, tries, next_try_at, answered, error, created_at, finished_at;

-- name: fan_out(most, now)$
-- Make deliveries of what was written since each webhook last looked; how many rows were looked at. A replica that
-- meets another at it leaves that webhook to it. A webhook never hears that it, or another one, could not be reached:
-- that would never end.
with looking as materialized (
  select id, actions, last_id, created_at from gateway.webhooks
  where last_id < (select id from gateway.audit_head)
  order by id
  for update skip locked
), rows as materialized (
  select looking.id as webhook_id, log.id as audit_id, log.action, looking.actions
  from looking, lateral (
    select id, action from gateway.audit_log where id > looking.last_id order by id limit :most
  ) as log
), made as (
  insert into gateway.webhook_deliveries (webhook_id, audit_id, next_try_at, created_at)
  select webhook_id, audit_id, :now, :now from rows
  where (action = any (actions) or '*' = any (actions)) and action not in ('webhook_dead', 'webhook_test')
  on conflict on constraint webhook_deliveries_once do nothing
), moved as (
  update gateway.webhooks w
  set last_id = upto.audit_id
  from (select webhook_id, max(audit_id) as audit_id from rows group by webhook_id) as upto
  where w.id = upto.webhook_id
)
select count(*) from rows;

-- name: claim_deliveries(now, until, most)
-- Due ones for this replica alone, each with what is sent.
with due as (
  select id from gateway.webhook_deliveries
  where status = 'waiting' and next_try_at <= :now and (claimed_until is null or claimed_until < :now)
  order by next_try_at, id
  limit :most
  for update skip locked
), claimed as (
  update gateway.webhook_deliveries d set claimed_until = :until, tries = d.tries + 1
  from due where d.id = due.id
  returning d.id, d.webhook_id, d.audit_id, d.tries
)
select c.id as delivery_id, c.webhook_id, c.tries, w.url, w.sealed_secret,
  l.id, l.at, l.actor, l.action, l.user_id, l.from_state, l.to_state, l.detail::text as detail, l.hash
from claimed c
join gateway.webhooks w on w.id = c.webhook_id
join gateway.audit_log l on l.id = c.audit_id;

-- name: end_delivery(id, status, next_try_at, answered, error, now)!
-- What became of one try. `dead` leaves an audit row.
with ended as (
  update gateway.webhook_deliveries
  set status = :status, next_try_at = coalesce(:next_try_at, next_try_at), claimed_until = null, answered = :answered,
    error = :error, finished_at = case when :status = 'waiting' then null else :now::timestamptz end
  where id = :id
  returning id, webhook_id, audit_id, status, tries, answered, error
)
insert into gateway.audit_log (at, actor, action, detail)
select :now, 'webhooks', 'webhook_dead', jsonb_build_object(
  'webhook', webhook_id, 'delivery', id, 'row', audit_id, 'tries', tries, 'answered', answered, 'error', error
)
from ended where status = 'dead';

-- name: forget_deliveries(before)!
delete from gateway.webhook_deliveries where finished_at < :before;
