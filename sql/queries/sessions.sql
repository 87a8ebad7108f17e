-- Who is signed in on which browser. Every instant is the gateway's own, so that one clock decides.
-- Params are cast from text where a connection may have a codec of its own for jsonb.

-- name: insert_session(id_hash, user_id, supabase_session_id, email, access_token, refresh_token, access_expires_at, claims, now, expires_at, user_agent, ip, realm)!
insert into gateway.sessions (
  id_hash, user_id, supabase_session_id, email, access_token, refresh_token, access_expires_at, claims,
  created_at, last_seen_at, expires_at, user_agent, ip, realm
) values (
  :id_hash, :user_id, :supabase_session_id, :email, :access_token, :refresh_token, :access_expires_at,
  (:claims::text)::jsonb, :now, :now, :expires_at, :user_agent, (:ip::text)::inet, :realm
);

-- name: read_session(id_hash)^
select id_hash, user_id, supabase_session_id, email, access_token, refresh_token, access_expires_at,
  claims::text as claims, created_at, expires_at, host(ip) as ip
from gateway.sessions
where id_hash = :id_hash;

-- name: lock_session(id_hash)^
-- One refresh at a time across all replicas: the row stays locked until the transaction ends.
select id_hash, user_id, supabase_session_id, email, access_token, refresh_token, access_expires_at,
  claims::text as claims, created_at, expires_at, host(ip) as ip
from gateway.sessions
where id_hash = :id_hash
for update;

-- name: limit_lock_wait(limit)$
-- Within the transaction only. Longer than one call to Supabase, so that a waiter gets its outcome.
select set_config('lock_timeout', :limit, true);

-- name: renew_session(access_token, refresh_token, access_expires_at, claims, email, supabase_session_id, id_hash)!
update gateway.sessions
set access_token = :access_token, refresh_token = :refresh_token, access_expires_at = :access_expires_at,
  claims = (:claims::text)::jsonb, email = :email, supabase_session_id = :supabase_session_id
where id_hash = :id_hash;

-- name: keep_refresh_token(refresh_token, id_hash)!
-- The new access token could not be checked yet: the old refresh token is spent all the same.
update gateway.sessions set refresh_token = :refresh_token where id_hash = :id_hash;

-- name: delete_session(id_hash)^
-- The trigger tells every replica (NOTIFY session_ended).
delete from gateway.sessions where id_hash = :id_hash
returning user_id, access_token, access_expires_at;

-- name: sessions_of_user(user_id, now)
-- What a user may see of their own sessions, the latest first. No token is among it.
select id_hash, realm, created_at, last_seen_at, expires_at, user_agent, host(ip) as ip
from gateway.sessions
where user_id = :user_id and expires_at > :now
order by last_seen_at desc, id_hash;

-- name: session_is_users(id_hash, user_id)$
select exists (select from gateway.sessions where id_hash = :id_hash and user_id = :user_id);

-- name: sign_out_everywhere(user_id, now)!
-- Sessions here, and every access token that Supabase gave out so far.
with ended as (
  insert into gateway.ended_logins (user_id, reason, ended_at) values (:user_id, 'signed_out_everywhere', :now)
)
delete from gateway.sessions where user_id = :user_id;

-- name: shut_out(user_id, reason, now)!
-- The user was banned or deleted at Supabase: sessions, personal tokens and access tokens end.
with tokens as (
  delete from gateway.access_tokens where user_id = :user_id
), ended as (
  insert into gateway.ended_logins (user_id, reason, ended_at) values (:user_id, :reason, :now)
)
delete from gateway.sessions where user_id = :user_id;

-- name: see_sessions(hashes, ats, idle, absolute)!
-- Forward only, however late and from however many replicas the batches come. The sliding end never passes the
-- absolute one. Locked in one order, so that two replicas' batches cannot wait for each other.
with seen as (
  select * from unnest(:hashes::bytea[], :ats::timestamptz[]) as seen (id_hash, at)
), mine as (
  select id_hash from gateway.sessions where id_hash in (select id_hash from seen) order by id_hash for no key update
)
update gateway.sessions as s
set last_seen_at = greatest(s.last_seen_at, seen.at),
  expires_at = greatest(s.expires_at, least(seen.at + :idle::interval, s.created_at + :absolute::interval))
from seen join mine using (id_hash)
where s.id_hash = seen.id_hash;

-- name: sweep_sessions(now)!
-- In bites, so that one replica never holds many rows that others want.
delete from gateway.sessions
where id_hash in (
  select id_hash from gateway.sessions where expires_at <= :now order by expires_at limit 500 for update skip locked
);
