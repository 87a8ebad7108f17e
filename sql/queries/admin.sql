-- name: claim_key(caller, key, asked, now, given_up, expired)^
-- The key as this request finds it: taken now (`ours`), or as somebody took it. No row back: somebody takes it at this
-- very moment; ask again. Keys whose day is over go on the way.
with gone as (
  delete from gateway.idempotency_keys where begun_at < :expired and (caller, key) <> (:caller, :key)
), claimed as (
  insert into gateway.idempotency_keys as k (caller, key, asked, begun_at) values (:caller, :key, :asked, :now)
  on conflict (caller, key) do update
  set asked = excluded.asked, begun_at = excluded.begun_at, status = null, content_type = null, sealed = null
  where k.begun_at < :expired or (k.status is null and k.begun_at < :given_up and k.asked = excluded.asked)
  returning asked, status, content_type, sealed
)
select true as ours, asked, status, content_type, sealed from claimed
union all
select false, asked, status, content_type, sealed from gateway.idempotency_keys
where caller = :caller and key = :key and not exists (select from claimed);

-- name: keep_answer(caller, key, status, content_type, sealed)!
update gateway.idempotency_keys
set status = :status, content_type = :content_type, sealed = :sealed
where caller = :caller and key = :key;

-- name: release_key(caller, key)!
delete from gateway.idempotency_keys where caller = :caller and key = :key and status is null;

-- name: begin_operator_session(id_hash, token_hash, now, expires_at)!
-- Those that are over go on the way.
with gone as (
  delete from gateway.operator_sessions where expires_at < :now
)
insert into gateway.operator_sessions (id_hash, token_hash, created_at, expires_at)
values (:id_hash, :token_hash, :now, :expires_at);

-- name: token_of_session(id_hash, now)$
select token_hash from gateway.operator_sessions where id_hash = :id_hash and expires_at > :now;

-- name: end_operator_session(id_hash)!
delete from gateway.operator_sessions where id_hash = :id_hash;
