-- Personal access tokens. Every instant is the gateway's own.

-- name: insert_token(id, user_id, email, name, secret_hash, scopes, now, expires_at, most)^
-- No row back: the user has as many as one may have. What has ended is swept on the way.
with ended as (
  delete from gateway.access_tokens where user_id = :user_id and expires_at <= :now
)
insert into gateway.access_tokens (id, user_id, email, name, secret_hash, scopes, created_at, expires_at)
select :id, :user_id, :email, :name, :secret_hash, :scopes::text[], :now, :expires_at
where (
  select count(*) from gateway.access_tokens where user_id = :user_id and expires_at > :now
) < :most
returning *;

-- name: read_token(id)^
select * from gateway.access_tokens where id = :id;

-- name: tokens_of_user(user_id, now)
select * from gateway.access_tokens
where user_id = :user_id and expires_at > :now
order by created_at desc, id;

-- name: delete_token(id, user_id)$
-- The trigger tells every replica (NOTIFY token_ended).
delete from gateway.access_tokens where id = :id and user_id = :user_id returning id;

-- name: use_tokens(ids, ats)!
-- Forward only. Locked in one order, so that two replicas' batches cannot wait for each other.
with used as (
  select * from unnest(:ids::text[], :ats::timestamptz[]) as used (id, at)
), mine as (
  select id from gateway.access_tokens where id in (select id from used) order by id for no key update
)
update gateway.access_tokens as t
set last_used_at = greatest(t.last_used_at, used.at)
from used join mine using (id)
where t.id = used.id;
