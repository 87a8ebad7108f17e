-- name: take_round(name, owner, now, next_at)$
-- The name back: this replica does it now, and nobody before `next_at`. No row: it is not due, or somebody does it.
insert into gateway.rounds as r (name, owner, next_at) values (:name, :owner, :next_at)
on conflict (name) do update set owner = excluded.owner, next_at = excluded.next_at
where r.next_at <= :now
returning name;

-- name: see(app_name, resources, whats, user_ids, details, costs, now)
-- Note what was seen in an app now, and forget what was not; all that is known of what was, by its first sighting.
with seen as (
  select * from unnest(:resources::text[], :whats::text[], :user_ids::uuid[], :details::text[], :costs::float8[])
    as s (resource, what, user_id, detail, usd_per_month)
), gone as (
  delete from gateway.sightings g
  where g.app_name = :app_name
    and not exists (select from seen s where (s.resource, s.what) = (g.resource, g.what))
)
insert into gateway.sightings as g
  (resource, what, app_name, user_id, detail, usd_per_month, first_at, last_at)
select resource, what, :app_name, user_id, detail::jsonb, usd_per_month, :now, :now from seen
on conflict (app_name, resource, what) do update
set times = g.times + 1, last_at = excluded.last_at, detail = excluded.detail, user_id = excluded.user_id,
    usd_per_month = excluded.usd_per_month
returning *;

-- name: settle(app_name, resource, what, outcome)!
update gateway.sightings set outcome = :outcome
where app_name = :app_name and resource = :resource and what = :what;

-- name: all_sightings(most)
-- The dearest first.
select * from gateway.sightings order by usd_per_month desc, first_at, resource limit :most;

-- name: note_volumes(volume_ids, instance_ids, env, deployment, now)!
insert into gateway.seen_volumes (volume_id, instance_id, gateway_env, deployment, seen_at)
select volume_id, instance_id, :env, :deployment, :now
from unnest(:volume_ids::text[], :instance_ids::uuid[]) as v (volume_id, instance_id)
on conflict do nothing;

-- name: proven_volumes(volume_ids, env, deployment)
select volume_id, instance_id from gateway.seen_volumes
where volume_id = any(:volume_ids::text[]) and gateway_env = :env and deployment = :deployment;

-- name: knows_instance(instance_id)$
select exists (select from public.user_instances where id = :instance_id);
