-- name: add_spare(id, isolation, app_name, machine_name, region, image, guest, volume_gb, now)^
-- A row before anything is asked of Fly.
with made as (
  insert into gateway.spares
    (id, state, isolation, app_name, machine_name, region, image, guest, volume_gb, created_at, state_since)
  values (:id, 'making', :isolation, :app_name, :machine_name, :region, :image, :guest, :volume_gb, :now, :now)
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, to_state, detail)
  select :now, 'pool', 'spare_make', state, jsonb_build_object('spare', id, 'app', app_name, 'machine', machine_name)
  from made
)
select * from made;

-- name: record_spare(id, app_id, flycast_ip, volume_id, machine_id, private_ip, region)^
-- Write back what Fly told, leaving as it is what is null. No row back: it is gone.
update gateway.spares
set app_id = coalesce(:app_id, app_id),
    flycast_ip = coalesce(:flycast_ip, flycast_ip),
    volume_id = coalesce(:volume_id, volume_id),
    machine_id = coalesce(:machine_id, machine_id),
    private_ip = coalesce(:private_ip, private_ip),
    region = coalesce(:region, region)
where id = :id
returning *;

-- name: move_spare(id, from_state, to_state, action, why, now)$
-- One step, with its audit row. No row back: somebody else moved it first, or it is somebody's home.
with moved as (
  update gateway.spares s
  set state = :to_state, state_since = :now
  where s.id = :id and s.state = :from_state
    and (s.state <> 'claimed' or not exists (select from public.user_instances i where i.id = s.id))
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, from_state, to_state, detail)
  select :now, 'pool', 'spare_' || :action, user_id, :from_state, :to_state, jsonb_build_object('spare', id, 'why', :why::text)
  from moved
)
select true from moved;

-- name: remove_spare(id, now)!
-- Nothing of it is left at Fly.
with removed as (
  delete from gateway.spares where id = :id and state = 'doomed' returning *
)
insert into gateway.audit_log (at, actor, action, user_id, from_state, detail)
select :now, 'pool', 'spare_remove', user_id, state,
  jsonb_build_object('spare', id, 'app', app_name, 'machine', machine_id, 'volume', volume_id)
from removed;

-- name: all_spares()
-- Those in which nobody lives, the oldest first.
select s.* from gateway.spares s
where s.state <> 'claimed' or not exists (select from public.user_instances i where i.id = s.id)
order by s.created_at, s.id;

-- name: arrivals(since, now)
-- First visits by how many whole minutes ago they were.
select floor(extract(epoch from :now::timestamptz - created_at) / 60)::int as minutes_ago, count(*)::int as visits
from public.user_instances
where created_at > :since and created_at <= :now
group by 1;

-- name: claim_spare(user_id, email, isolation, region, image, guest, leave, actor, now)^
-- Take a spare that nobody else is taking, and give it to a new Instance, both or (but for a race, which the pool mends)
-- none. Preferred: the image that is wanted, then what waits longest.
with taken as (
  update gateway.spares
  set state = 'claimed', state_since = :now, user_id = :user_id
  where id = (
    select id from gateway.spares
    where state = 'ready' and isolation = :isolation and guest = :guest and region = :region
      and (select count(*) from gateway.spares where state = 'ready') > :leave
      and not exists (select from public.user_instances where user_id = :user_id)
    order by image = :image desc, state_since
    limit 1
    for update skip locked
  )
  returning *
), made as (
  insert into public.user_instances
    (user_id, id, email, state, isolation, app_name, machine_name, region, app_id, flycast_ip, volume_id, machine_id,
     private_ip, image, guest, volume_gb, last_active, state_since, created_at)
  select :user_id, id, :email, 'provisioning', isolation, app_name, machine_name, region, app_id, flycast_ip, volume_id,
    machine_id, private_ip, image, guest, volume_gb, :now, :now, :now
  from taken
  on conflict do nothing
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, to_state, detail)
  select :now, :actor, 'create', user_id, state, jsonb_build_object('spare', id, 'app', app_name, 'machine', machine_id)
  from made
)
select * from made;

-- name: swap_spare(user_id, owner, fence, fresh_id, fresh_app_name, fresh_machine_name, isolation, region, image, guest, why, actor, now)^
-- The spare of this new Instance is dead: doom it and take the next, or none. No row back: the lease was lost, or it is
-- not new any more.
with held as materialized (
  select from gateway.instance_leases
  where user_id = :user_id and owner = :owner and fence = :fence
  for share
), new as materialized (
  select id from public.user_instances
  where user_id = :user_id and state = 'provisioning' and exists (select from held)
  for update
), dead as (
  update gateway.spares s
  set state = 'doomed', state_since = :now
  from new where s.id = new.id and s.state = 'claimed'
  returning s.id
), taken as (
  update gateway.spares
  set state = 'claimed', state_since = :now, user_id = :user_id
  where exists (select from new) and id = (
    select id from gateway.spares
    where state = 'ready' and isolation = :isolation and guest = :guest and region = :region
    order by image = :image desc, state_since
    limit 1
    for update skip locked
  )
  returning *
), swapped as (
  update public.user_instances i
  set id = coalesce(taken.id, :fresh_id::uuid),
      isolation = coalesce(taken.isolation, :isolation),
      app_name = coalesce(taken.app_name, :fresh_app_name),
      machine_name = coalesce(taken.machine_name, :fresh_machine_name),
      region = coalesce(taken.region, :region),
      image = coalesce(taken.image, :image),
      app_id = taken.app_id,
      flycast_ip = taken.flycast_ip,
      volume_id = taken.volume_id,
      machine_id = taken.machine_id,
      private_ip = taken.private_ip,
      guest = taken.guest,
      volume_gb = taken.volume_gb
  from new left join taken on true
  where i.id = new.id and i.user_id = :user_id
  returning i.*
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, from_state, to_state, detail)
  select :now, :actor, 'spare_swap', swapped.user_id, 'provisioning', 'provisioning',
    jsonb_build_object('dead', new.id, 'why', :why::text, 'spare', taken.id)
  from swapped cross join new left join taken on true
)
select * from swapped;
