-- Operators' visits at users' Machines. Every instant is the gateway's own; every step leaves its row in the audit log.

-- name: grant_visit(user_id, operator, reason, minutes, ticket_hash, now, open_until)^
-- No row back: the user wants no visits.
with granted as (
  insert into gateway.visits (user_id, operator, reason, minutes, ticket_hash, granted_at, open_until)
  select :user_id, :operator, :reason, :minutes, :ticket_hash, :now, :open_until
  where not exists (select from gateway.closed_doors where user_id = :user_id)
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select granted_at, 'operator:' || operator, 'visit_granted', user_id,
    jsonb_build_object('visit', id, 'reason', reason, 'minutes', minutes)
  from granted
)
select * from granted;

-- name: visit_of_ticket(ticket_hash, now)^
select v.*, i.email from gateway.visits v join public.user_instances i using (user_id)
where v.ticket_hash = :ticket_hash and v.opened_at is null and v.ended_at is null and v.open_until > :now;

-- name: open_visit(ticket_hash, id_hash, now)^
-- Once. No row back: the link was used, is too old, or the visit was called off.
with opened as (
  update gateway.visits
  set id_hash = :id_hash, opened_at = :now, expires_at = :now::timestamptz + make_interval(mins => minutes)
  where ticket_hash = :ticket_hash and opened_at is null and ended_at is null and open_until > :now
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select opened_at, 'operator:' || operator, 'visit_opened', user_id,
    jsonb_build_object('visit', id, 'reason', reason, 'until', expires_at)
  from opened
)
select * from opened;

-- name: visit_of_session(id_hash, now)^
-- Over when its time is, and when there is nothing left to visit.
select v.*, i.email from gateway.visits v join public.user_instances i using (user_id)
where v.id_hash = :id_hash and v.ended_at is null and v.expires_at > :now;

-- name: end_visits(id, id_hash, user_id, now, by)
-- Those that fit every filter that is not null and have not ended.
with ended as (
  update gateway.visits set ended_at = :now, ended_by = :by
  where ended_at is null
    and (:id::uuid is null or id = :id)
    and (:id_hash::bytea is null or id_hash = :id_hash)
    and (:user_id::uuid is null or user_id = :user_id)
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select ended_at, ended_by, 'visit_ended', user_id, jsonb_build_object('visit', id, 'operator', operator) from ended
)
select * from ended;

-- name: end_overdue_visits(now)!
with ended as (
  update gateway.visits set ended_at = :now, ended_by = 'time'
  where ended_at is null and coalesce(expires_at, open_until) <= :now
  returning *
)
insert into gateway.audit_log (at, actor, action, user_id, detail)
select ended_at, 'gateway', 'visit_ended', user_id, jsonb_build_object('visit', id, 'operator', operator) from ended;

-- name: visits(user_id, most)
-- The latest first; user_id null: everybody's.
select * from gateway.visits where :user_id::uuid is null or user_id = :user_id order by granted_at desc, id limit :most;

-- name: door_is_closed(user_id)$
select exists (select from gateway.closed_doors where user_id = :user_id);

-- name: close_door(user_id, now)!
insert into gateway.closed_doors (user_id, closed_at) values (:user_id, :now) on conflict (user_id) do nothing;

-- name: open_door(user_id)!
delete from gateway.closed_doors where user_id = :user_id;
