-- Who asked to come in, and what became of it. Every instant is the gateway's own.

-- name: standing(user_id)^
-- Always one row; `status` is null for whom nobody has seen yet.
select
  (select status from gateway.signups where user_id = :user_id) as status,
  exists (select from gateway.deletions where user_id = :user_id) as leaving,
  exists (
    select from public.user_subscriptions
    where user_id = :user_id and plan <> 'free' and status in ('active', 'trialing')
  ) as paid;

-- name: one_at_a_time()$
-- Until the transaction ends.
select pg_advisory_xact_lock(hashtext('gateway.signups'))::text;

-- name: admit_by_rule(user_id, email, rule, cap, now)$
-- Let in whom a rule admits. No row back: the cap is reached.
insert into gateway.signups as s (user_id, email, status, created_at, decided_at, decided_by)
select :user_id, :email, 'admitted', :now, :now, :rule
where :cap::bigint is null or (select count(*) from gateway.signups where status = 'admitted') < :cap
on conflict (user_id) do update
set status = 'admitted', decided_at = :now, decided_by = :rule
where s.status = 'waiting'
returning status;

-- name: wait_in_line(user_id, email, now)$
-- Their standing afterwards: waiting, or what was decided a moment ago.
insert into gateway.signups as s (user_id, email, status, created_at)
values (:user_id, :email, 'waiting', :now)
on conflict (user_id) do update set email = s.email
returning status;

-- name: place_in_line(user_id)$
-- Among all that wait, first come first; null for who does not wait.
select (
  select count(*) from gateway.signups ahead
  where ahead.status = 'waiting' and (ahead.created_at, ahead.user_id) <= (s.created_at, s.user_id)
)
from gateway.signups s where s.user_id = :user_id and s.status = 'waiting';

-- name: page_of_signups(status, after, most)
-- First come first; `status` and `after` (a user id) may be null.
select s.* from gateway.signups s
where (:status::text is null or s.status = :status)
  and (:after::uuid is null or (s.created_at, s.user_id) > (
    select a.created_at, a.user_id from gateway.signups a where a.user_id = :after
  ))
order by s.created_at, s.user_id
limit :most;

-- name: decide_signup(user_id, status, decided_by, now)^
-- An operator's word, with its audit row. Who loses their place loses sessions and tokens in the same statement.
with decided as (
  update gateway.signups
  set status = :status, decided_at = :now, decided_by = :decided_by
  where user_id = :user_id
  returning *
), sessions as (
  delete from gateway.sessions where user_id = :user_id and :status <> 'admitted' and exists (select from decided)
  returning 1
), tokens as (
  delete from gateway.access_tokens where user_id = :user_id and :status <> 'admitted' and exists (select from decided)
  returning 1
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select :now, :decided_by, 'signup_' || :status, user_id, jsonb_build_object('status', :status::text) from decided
  -- The row last: see ask_deletion.
  where (select count(*) from sessions) + (select count(*) from tokens) >= 0
)
select * from decided;
