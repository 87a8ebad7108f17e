-- What users do with all that is theirs. Every instant is the gateway's own.

-- name: everything(user_id)^
-- All we know of a user, one column a subject; no secret among it, nor what it is hashed to.
select
  (select to_jsonb(i) - 'private_ip' from public.user_instances i where i.user_id = :user_id)::text as instance,
  (select to_jsonb(q) from public.provisioning_queue q where q.user_id = :user_id)::text as queue,
  (select to_jsonb(p) from public.user_subscriptions p where p.user_id = :user_id)::text as subscription,
  (select to_jsonb(s) from gateway.signups s where s.user_id = :user_id)::text as signup,
  (select coalesce(jsonb_agg(to_jsonb(u) order by u.day), '[]') from public.instance_usage u
    where u.user_id = :user_id)::text as usage,
  (select coalesce(jsonb_agg(
      to_jsonb(s) - array['id_hash', 'access_token', 'refresh_token', 'claims'] order by s.created_at), '[]')
    from gateway.sessions s where s.user_id = :user_id)::text as sessions,
  (select coalesce(jsonb_agg(to_jsonb(t) - 'secret_hash' order by t.created_at), '[]')
    from gateway.access_tokens t where t.user_id = :user_id)::text as tokens,
  (select coalesce(jsonb_agg(to_jsonb(v) - array['ticket_hash', 'id_hash'] order by v.granted_at), '[]')
    from gateway.visits v where v.user_id = :user_id)::text as visits,
  (select to_jsonb(d) from gateway.closed_doors d where d.user_id = :user_id)::text as door_closed,
  (select to_jsonb(k) from gateway.keep_awake k where k.user_id = :user_id)::text as keep_awake,
  (select coalesce(jsonb_agg(to_jsonb(v) order by v.first_at), '[]')
    from gateway.vigils v where v.user_id = :user_id)::text as vigils,
  (select coalesce(jsonb_agg(to_jsonb(k) order by k.kept_at), '[]')
    from gateway.kept_volumes k where k.user_id = :user_id)::text as kept_volumes,
  (select coalesce(jsonb_agg(to_jsonb(m) order by m.at), '[]')
    from gateway.rollout_moves m where m.user_id = :user_id)::text as image_changes,
  (select coalesce(jsonb_agg(to_jsonb(a) order by a.id), '[]') from gateway.audit_log a
    where a.user_id = :user_id)::text as audit;

-- name: note(actor, action, user_id, detail, now)!
-- What was done, in the audit log.
insert into gateway.audit_log (at, actor, action, user_id, detail)
values (:now, :actor, :action, :user_id, (:detail::text)::jsonb);

-- name: ask_deletion(user_id, email, now)$
-- From here on nobody comes in as this user: sessions and tokens end, and a new sign-in is refused. Asked twice it is
-- one deletion.
with asked as (
  insert into gateway.deletions (user_id, email, requested_at, next_try_at)
  values (:user_id, :email, :now, :now)
  on conflict (user_id) do nothing
  returning user_id
), sessions as (
  delete from gateway.sessions where user_id = :user_id returning 1
), tokens as (
  delete from gateway.access_tokens where user_id = :user_id returning 1
), visits as (
  update gateway.visits set ended_at = :now, ended_by = :user_id::text
  where user_id = :user_id and ended_at is null returning 1
), audited as (
  -- Counted, so that the row is written last: all others who write to the log wait from there to our commit, and
  -- a session may be locked by its refresh for as long as Supabase takes.
  insert into gateway.audit_log (at, actor, action, user_id)
  select :now, user_id::text, 'deletion_asked', user_id from asked
  where (select count(*) from sessions) + (select count(*) from tokens) + (select count(*) from visits) >= 0
)
select user_id from asked;

-- name: take_deletion(now, until)^
-- One that is due, kept from others until `until`. Who dies with it leaves it to be taken again.
update gateway.deletions set next_try_at = :until, tries = tries + 1
where user_id = (
  select user_id from gateway.deletions
  where finished_at is null and next_try_at <= :now
  order by next_try_at for update skip locked limit 1
)
returning user_id, email, tries;

-- name: put_off_deletion(user_id, error, at)!
update gateway.deletions set next_try_at = :at, error = :error where user_id = :user_id and finished_at is null;

-- name: finish_deletion(user_id, detail, now)!
-- The rest of what names the user, and the receipt. Usage stays: it is what is billed, under an id without a name.
-- Sessions and tokens again: one that was made while the deletion was being asked must not outlive it.
with done as (
  update gateway.deletions set finished_at = :now, email = null, error = null
  where user_id = :user_id and finished_at is null
  returning user_id
), sessions as (
  delete from gateway.sessions where user_id in (select user_id from done) returning 1
), tokens as (
  delete from gateway.access_tokens where user_id in (select user_id from done) returning 1
), visits as (
  delete from gateway.visits where user_id in (select user_id from done) returning 1
), doors as (
  delete from gateway.closed_doors where user_id in (select user_id from done) returning 1
), signups as (
  delete from gateway.signups where user_id in (select user_id from done) returning 1
)
insert into gateway.audit_log (at, actor, action, user_id, detail)
select :now, 'eraser', 'account_deleted', user_id, (:detail::text)::jsonb from done
-- The row last: see ask_deletion.
where (select count(*) from sessions) + (select count(*) from tokens) + (select count(*) from signups)
  + (select count(*) from visits) + (select count(*) from doors) >= 0;

-- name: life_since(user_id, since)
-- Every step of their machine's life since then, oldest first.
select at, action, actor, from_state, to_state, detail::text as detail
from gateway.audit_log
where user_id = :user_id and to_state is not null and at >= :since
order by id;

-- name: last_wakes(user_id, most)
-- The steps around their last wakes, oldest first: each wake is a beginning and an end.
select * from (
  select id, at, action, actor, from_state, to_state, detail::text as detail
  from gateway.audit_log
  where user_id = :user_id and to_state in ('provisioning', 'waking', 'active')
  order by id desc limit :most
) as latest
order by id;
