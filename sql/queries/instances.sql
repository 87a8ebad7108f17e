-- name: create_instance(user_id, id, email, isolation, app_name, machine_name, region, image, actor, now)^
-- The user's new row in PROVISIONING, with its audit row. No row back: there is one already, or its name is taken.
-- No arbiter named on purpose: of two replicas at the same instant the second may collide with the first in any of the
-- table's unique indexes, the name's before the key's, and an index that is not an arbiter raises.
with made as (
  insert into public.user_instances as i
    (user_id, id, email, state, isolation, app_name, machine_name, region, image, last_active, state_since, created_at)
  values (
    :user_id, coalesce(:id::uuid, gen_random_uuid()), :email, 'provisioning', :isolation, :app_name, :machine_name,
    :region, :image, :now, :now, :now
  )
  on conflict do nothing
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, to_state)
  select :now, :actor, 'create', user_id, state from made
)
select * from made;

-- name: holder_of_name(app_name, machine_name)$
-- The user whose Instance has this name at Fly.
select user_id from public.user_instances where app_name = :app_name and machine_name = :machine_name;

-- name: find_instance(user_id)^
select * from public.user_instances where user_id = :user_id;

-- name: page_of_instances(state, after, most)
-- In order of user_id; `state` and `after` may be null.
select * from public.user_instances
where (:state::text is null or state = :state) and (:after::uuid is null or user_id > :after)
order by user_id
limit :most;

-- name: move_instance(user_id, from_state, to_state, action, actor, error, detail, owner, fence, now)^
-- One step of the life, with its audit row. No row back: somebody else moved it first, or the lease was lost.
-- The lease is locked, not just read: else another replica could take it between our look and our commit.
with held as materialized (
  select from gateway.instance_leases
  where user_id = :user_id and owner = :owner and fence = :fence
  for share
), moved as (
  update public.user_instances
  set state = :to_state, state_since = :now, error = :error
  where user_id = :user_id and state = :from_state and (:fence::bigint is null or exists (select from held))
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, from_state, to_state, detail)
  select :now, :actor, :action, user_id, :from_state, :to_state, :detail::jsonb from moved
), served as (
  -- Whoever is there waits no longer.
  delete from public.provisioning_queue
  where user_id in (select user_id from moved where state = 'active')
)
select * from moved;

-- name: record_ids(user_id, owner, fence, app_id, flycast_ip, volume_id, machine_id, private_ip, region, guest, volume_gb, now)^
-- Write back what Fly told, leaving as it is what is null. No row back: the lease was lost.
-- What was made leaves an audit row: the log names every resource there ever was.
with held as materialized (
  select from gateway.instance_leases
  where user_id = :user_id and owner = :owner and fence = :fence
  for share
), recorded as (
  update public.user_instances
  set app_id = coalesce(:app_id, app_id),
      flycast_ip = coalesce(:flycast_ip, flycast_ip),
      volume_id = coalesce(:volume_id, volume_id),
      machine_id = coalesce(:machine_id, machine_id),
      private_ip = coalesce(:private_ip, private_ip),
      region = coalesce(:region, region),
      guest = coalesce(:guest, guest),
      volume_gb = coalesce(:volume_gb, volume_gb)
  where user_id = :user_id and exists (select from held)
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select :now, 'lifecycle', 'made', user_id, made.detail
  from recorded, (
    select jsonb_strip_nulls(jsonb_build_object(
      'app_id', :app_id::text, 'address', :flycast_ip::text, 'volume_id', :volume_id::text,
      'machine_id', :machine_id::text
    )) as detail
  ) as made
  where made.detail <> '{}'
)
select * from recorded;

-- name: note_host(user_id, owner, fence, down_since)^
-- Since when its host is out of reach; null that it is not. No row back: the lease was lost.
with held as materialized (
  select from gateway.instance_leases
  where user_id = :user_id and owner = :owner and fence = :fence
  for share
)
update public.user_instances set host_down_since = :down_since
where user_id = :user_id and exists (select from held)
returning *;

-- name: forget_machine(user_id, owner, fence, now)^
-- The Machine is gone, the volume stays. No row back: the lease was lost, or the Instance counts as serving and has
-- to be moved first.
with held as materialized (
  select from gateway.instance_leases
  where user_id = :user_id and owner = :owner and fence = :fence
  for share
), before as (
  select user_id, machine_id from public.user_instances where user_id = :user_id
), forgotten as (
  update public.user_instances
  set machine_id = null, private_ip = null, host_down_since = null
  where user_id = :user_id and state not in ('active', 'draining') and exists (select from held)
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select :now, 'lifecycle', 'lost', user_id, jsonb_build_object('machine_id', before.machine_id)
  from forgotten join before using (user_id)
  where before.machine_id is not null
)
select * from forgotten;

-- name: exchange_volume(user_id, owner, fence, volume_id, region, reason, now)^
-- Another volume holds the user's data from now on, on another host; the old one is kept, and the Machine that hung
-- on it is gone. No row back: the lease was lost, the Instance counts as serving, or it has no volume.
with held as materialized (
  select from gateway.instance_leases
  where user_id = :user_id and owner = :owner and fence = :fence
  for share
), before as (
  select user_id, app_name, volume_id from public.user_instances where user_id = :user_id and volume_id is not null
), exchanged as (
  update public.user_instances i
  set volume_id = :volume_id, region = :region, machine_id = null, private_ip = null, host_down_since = null
  from before
  where i.user_id = before.user_id and i.state not in ('active', 'draining') and exists (select from held)
  returning i.*
), kept as (
  insert into gateway.kept_volumes (volume_id, app_name, user_id, reason, kept_at)
  select before.volume_id, before.app_name, before.user_id, :reason, :now from before join exchanged using (user_id)
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select :now, 'lifecycle', 'moved_away', user_id,
    jsonb_build_object('from', before.volume_id, 'to', exchanged.volume_id, 'reason', :reason::text)
  from before join exchanged using (user_id)
)
select * from exchanged;

-- name: drop_volume(user_id, owner, fence, region, now)^
-- The volume of a Machine that never was is gone at Fly; the next one is made in `region`. No row back: the lease was
-- lost, or it is not PROVISIONING, so that the volume may hold something.
with held as materialized (
  select from gateway.instance_leases
  where user_id = :user_id and owner = :owner and fence = :fence
  for share
), before as (
  select user_id, volume_id from public.user_instances where user_id = :user_id
), dropped as (
  update public.user_instances set volume_id = null, region = :region
  where user_id = :user_id and state = 'provisioning' and machine_id is null and exists (select from held)
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select :now, 'lifecycle', 'dropped', user_id,
    jsonb_build_object('volume_id', before.volume_id, 'region', dropped.region)
  from dropped join before using (user_id)
)
select * from dropped;

-- name: kept_volumes(user_id)
-- Volumes that data moved away from: of one user, or of all if null.
select volume_id, app_name, user_id, reason, kept_at from gateway.kept_volumes
where :user_id::uuid is null or user_id = :user_id
order by kept_at, volume_id;

-- name: remove_instance(user_id, owner, fence, actor, now)^
-- Delete a DELETING row, its place in the queue (by cascade) and its lease; the audit log keeps what it was.
-- No row back: it was not DELETING, or the lease was lost.
with held as materialized (
  select from gateway.instance_leases
  where user_id = :user_id and owner = :owner and fence = :fence
  for update
), removed as (
  delete from public.user_instances
  where user_id = :user_id and state = 'deleting' and exists (select from held)
  returning *
), released as (
  delete from gateway.instance_leases where user_id in (select user_id from removed)
), kept as (
  delete from gateway.kept_volumes where user_id in (select user_id from removed) returning volume_id
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, from_state, detail)
  select :now, :actor, 'remove', user_id, state,
    jsonb_build_object(
      'instance', id, 'app', app_name, 'app_id', app_id, 'address', flycast_ip, 'machine', machine_name,
      'machine_id', machine_id, 'volume_id', volume_id,
      'kept_volumes', (select coalesce(jsonb_agg(volume_id), '[]') from kept)
    )
  from removed
)
select * from removed;

-- name: touch_instances(user_ids, ats)!
-- Move last_active forward, never back. Rows are locked in order of user_id, so that two replicas that touch the same
-- users never wait for each other in a circle.
with latest as (
  select user_id, max(at) as at
  from unnest(:user_ids::uuid[], :ats::timestamptz[]) as touched (user_id, at)
  group by user_id
), stale as materialized (
  select i.user_id, latest.at
  from public.user_instances i join latest using (user_id)
  where i.last_active < latest.at
  order by i.user_id
  for no key update of i
)
update public.user_instances i
set last_active = greatest(i.last_active, stale.at)
from stale
where i.user_id = stale.user_id;

-- name: quiet_instances(before, after_at, after_id, most)
-- Awake and without activity since `before`, longest quiet first, with what decides when they sleep. For paging by the
-- last one's last_active and user_id; both may be null.
select i.*, k.until as keep_awake_until
from public.user_instances i
left join gateway.keep_awake k on k.user_id = i.user_id
where i.state = 'active' and i.last_active < :before
  and (:after_at::timestamptz is null or (i.last_active, i.user_id) > (:after_at, :after_id::uuid))
order by i.last_active, i.user_id
limit :most;

-- name: asleep_instances(before, after_at, after_id, most)
-- Suspended since before `before`, longest asleep first; paged by state_since and user_id.
select i.*, k.until as keep_awake_until
from public.user_instances i
left join gateway.keep_awake k on k.user_id = i.user_id
where i.state = 'suspended' and i.state_since < :before
  and (:after_at::timestamptz is null or (i.state_since, i.user_id) > (:after_at, :after_id::uuid))
order by i.state_since, i.user_id
limit :most;

-- name: unfinished_instances(now, most)
-- Half-done work that nobody is at, oldest first. FAILED is not: it waits in the queue.
select i.* from public.user_instances i
where i.state in ('provisioning', 'draining', 'suspending', 'stopping', 'waking', 'deleting')
  and not exists (
    select from gateway.instance_leases l
    where l.user_id = i.user_id and l.owner is not null and l.until > :now
  )
order by i.state_since
limit :most;

-- name: search_instances(state, region, word, sort, descending, after_key, after_id, most)
-- In the order of a text made of the wanted column, and of user_id among equals; the last row's pair is where the
-- following page goes on, and stays good when that row is gone.
with keyed as (
  select i.*, case :sort::text
    when 'email' then lower(i.email)
    when 'state' then i.state
    when 'region' then i.region
    when 'last_active' then to_char(i.last_active at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')
    when 'state_since' then to_char(i.state_since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')
    when 'created_at' then to_char(i.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US')
    else i.user_id::text
  end collate "C" as sort_key
  from public.user_instances i
  where (:state::text is null or i.state = :state)
    and (:region::text is null or i.region = :region)
    and (
      :word::text is null or position(lower(:word) in lower(i.email)) > 0 or starts_with(i.user_id::text, lower(:word))
      or i.machine_id = :word or i.machine_name = :word or i.id::text = lower(:word)
    )
)
select * from keyed
where :after_key::text is null
  or (not :descending::boolean and (sort_key, user_id) > (:after_key::text collate "C", :after_id::uuid))
  or (:descending::boolean and (sort_key, user_id) < (:after_key::text collate "C", :after_id::uuid))
order by
  case when not :descending::boolean then sort_key end,
  case when not :descending::boolean then user_id end,
  case when :descending::boolean then sort_key end desc,
  case when :descending::boolean then user_id end desc
limit :most;
