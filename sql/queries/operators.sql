-- name: operator_of_token(token_hash, now)^
-- A use is noted once a minute, so that a scraper does not write all the time.
with used as (
  update gateway.operators set last_used_at = :now::timestamptz
  where token_hash = :token_hash and revoked_at is null
    and (last_used_at is null or last_used_at < :now::timestamptz - interval '1 minute')
)
select name, role, created_at, last_used_at, revoked_at from gateway.operators
where token_hash = :token_hash and revoked_at is null;

-- name: add_operator(name, role, token_hash, now)^
-- No row back: the name is taken.
insert into gateway.operators (name, role, token_hash, created_at) values (:name, :role, :token_hash, :now)
on conflict (name) do nothing
returning name, role, created_at, last_used_at, revoked_at;

-- name: all_operators()
select name, role, created_at, last_used_at, revoked_at from gateway.operators order by name;

-- name: revoke_operator(name, now)^
-- Their visits end with their token.
with visits as (
  update gateway.visits set ended_at = :now, ended_by = 'revocation of the operator'
  where operator = :name and ended_at is null
)
update gateway.operators set revoked_at = coalesce(revoked_at, :now) where name = :name
returning name, role, created_at, last_used_at, revoked_at;
