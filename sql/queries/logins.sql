-- Logins at Supabase that ended. Every instant is the gateway's own, except where Supabase's database tells of an end.

-- name: login_ended(user_id, supabase_session_id, issued_at)$
-- Whether a token of this login, issued then, counts no more.
select exists (
  select from gateway.ended_logins
  where user_id = :user_id
    and (supabase_session_id = :supabase_session_id or (supabase_session_id is null and ended_at >= :issued_at))
);

-- name: end_with_logins(user_id, now)!
-- Sessions end with their login, personal tokens with their user; user_id null: of everybody. For ends that came about
-- at Supabase; done by every replica that hears of one, and it is the same to do it twice.
with ended as (
  select * from gateway.ended_logins where :user_id::uuid is null or user_id = :user_id
), sessions as (
  delete from gateway.sessions as s using ended as e
  where e.user_id = s.user_id and (
    e.supabase_session_id = s.supabase_session_id or (e.supabase_session_id is null and s.created_at <= e.ended_at)
  )
  returning s.user_id
), tokens as (
  delete from gateway.access_tokens as t using ended as e
  where e.user_id = t.user_id and e.reason in ('banned', 'deleted') and t.created_at <= e.ended_at
  returning t.user_id
), hit as (
  -- Read in full before anything is written to the log: see ask_deletion.
  select user_id, count(*) filter (where what = 'session') as sessions, count(*) filter (where what = 'token') as tokens
  from (select user_id, 'session' as what from sessions union all select user_id, 'token' from tokens) as gone
  group by user_id
)
insert into gateway.audit_log (at, actor, action, user_id, detail)
select :now, 'supabase', 'login_ended', user_id, jsonb_build_object('sessions', sessions, 'tokens', tokens) from hit;

-- name: sweep_logins(before)!
delete from gateway.ended_logins where ended_at < :before;
