-- name: audit_entries(after, most)
-- In order, for walking along the chain.
select id, at, actor, action, user_id, from_state, to_state, detail::text as detail, hash
from gateway.audit_log where id > :after order by id limit :most;

-- name: audit_latest(user_id, since, before, most)
-- Newest first; each filter may be null.
select id, at, actor, action, user_id, from_state, to_state, detail::text as detail, hash
from gateway.audit_log
where (:user_id::uuid is null or user_id = :user_id)
  and (:since::timestamptz is null or at >= :since)
  and (:before::bigint is null or id < :before)
order by id desc
limit :most;

-- name: audit_start()^
-- The last row that retention dropped. No row back: it never did.
select (detail ->> 'upto')::bigint as id, decode(detail ->> 'hash', 'hex') as hash
from gateway.audit_log where action = 'audit_pruned' order by id desc limit 1;

-- name: audit_head()^
select id, hash from gateway.audit_head;

-- name: prune_audit(older_than, most)$
-- How many rows went. The function adds a row that says where the chain goes on.
select gateway.prune_audit(:older_than, :most);

-- name: prune_step_times(older_than)!
delete from gateway.step_times where at < :older_than;
