-- name: enqueue(user_id, error, next_retry_at, now)!
-- A first failure, or one more of one that waits. One that was given up waits again.
insert into public.provisioning_queue as q (user_id, error, next_retry_at, created_at)
values (:user_id, :error, :next_retry_at, :now)
on conflict (user_id) do update
set error = excluded.error, next_retry_at = excluded.next_retry_at, retry_count = q.retry_count + 1,
    status = 'waiting';

-- name: find_waiting(user_id)^
-- With the place among all that wait, first come first.
select q.*, (
  select count(*) from public.provisioning_queue ahead
  where ahead.status = 'waiting' and (ahead.created_at, ahead.user_id) <= (q.created_at, q.user_id)
) as place
from public.provisioning_queue q
where q.user_id = :user_id and q.status = 'waiting';

-- name: due(now, most)
-- Those whose time has come, longest due first, with their places among all that wait.
select * from (
  select q.*, row_number() over (order by created_at, user_id) as place
  from public.provisioning_queue q
  where status = 'waiting'
) as waiting
where next_retry_at <= :now
order by next_retry_at, user_id
limit :most;

-- name: dequeue(user_id)!
delete from public.provisioning_queue where user_id = :user_id;
