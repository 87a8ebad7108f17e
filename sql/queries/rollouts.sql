-- name: newest_rollout()^
-- The one that counts, with who failed on its image.
select r.*, array(
  select m.user_id from gateway.rollout_moves m where m.rollout_id = r.id and m.outcome = 'failed'
) as failed
from gateway.rollouts r
order by r.created_at desc, r.id
limit 1;

-- name: start_rollout(id, image, golden_image, base_image, steps, tolerance, proof, soak_s, hurry, actor, now)^
-- No row back: another one is open. One that still returns ends: whoever is left on its image gets this one.
with superseded as (
  update gateway.rollouts set state = 'returned', state_since = :now, why = 'superseded' where state = 'returning'
), made as (
  insert into gateway.rollouts (id, state, image, golden_image, base_image, steps, tolerance, proof, soak_s, hurry,
    actor, created_at, state_since, step_since)
  values (:id, 'running', :image, :golden_image, :base_image, :steps, :tolerance, :proof, :soak_s, :hurry, :actor,
    :now, :now, :now)
  on conflict do nothing
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, to_state, detail)
  select :now, :actor, 'rollout_start', state, jsonb_build_object('rollout', id, 'image', image, 'steps', steps)
  from made
)
select *, '{}'::uuid[] as failed from made;

-- name: move_rollout(id, from_state, to_state, from_step, to_step, action, actor, why, now)$
-- One step, with its audit row. No row back: somebody else moved it first.
with moved as (
  update gateway.rollouts
  set state = :to_state, step = :to_step, why = :why,
    state_since = case when state = :to_state then state_since else :now end,
    step_since = :now
  where id = :id and state = :from_state and step = :from_step
  returning *
), audited as (
  insert into gateway.audit_log (at, actor, action, from_state, to_state, detail)
  select :now, :actor, 'rollout_' || :action, :from_state, :to_state,
    jsonb_build_object('rollout', id, 'image', image, 'percent', steps[step + 1], 'why', :why::text)
  from moved
)
select true from moved;

-- name: record_image(user_id, owner, fence, image, rollout_id, actor, now)^
-- Its Machine is of this image now. With it goes who was moved by which rollout, and an audit row. No row back: the
-- lease was lost.
with held as materialized (
  select from gateway.instance_leases
  where user_id = :user_id and owner = :owner and fence = :fence
  for share
), before as materialized (
  select image from public.user_instances where user_id = :user_id and exists (select from held) for update
), changed as (
  update public.user_instances i
  set image = :image, former_image = case when before.image = :image then i.former_image else before.image end
  from before
  where i.user_id = :user_id
  returning i.*
), noted as (
  insert into gateway.rollout_moves (rollout_id, user_id, from_image, at)
  select :rollout_id, :user_id, before.image, :now from before
  where :rollout_id::uuid is not null and before.image <> :image
  on conflict (rollout_id, user_id) do nothing
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, from_state, to_state, detail)
  select :now, :actor, 'image', :user_id, changed.state, changed.state,
    jsonb_build_object('from', before.image, 'to', changed.image, 'rollout', :rollout_id::uuid)
  from changed, before
)
select * from changed;

-- name: rollout_outcome(rollout_id, user_id, from_image, outcome, error, now)!
-- How the first bring-up on the new image went; later ones change nothing.
insert into gateway.rollout_moves as m (rollout_id, user_id, from_image, outcome, error, at)
values (:rollout_id, :user_id, :from_image, :outcome, :error, :now)
on conflict (rollout_id, user_id) do update set outcome = excluded.outcome, error = excluded.error
where m.outcome = 'moved';

-- name: rollout_tally(id, image, cut, returning)^
-- How it goes. Whoever failed and went back is not left.
select
  (select count(*) from gateway.rollout_moves m where m.rollout_id = :id and m.outcome = 'ready')::int as ready,
  (select count(*) from gateway.rollout_moves m where m.rollout_id = :id and m.outcome = 'failed')::int as failed,
  (select count(*) from gateway.rollout_moves m where m.rollout_id = :id and m.outcome = 'moved')::int as moved,
  count(*) filter (where in_cohort)::int as cohort,
  (case when :returning then count(*) filter (where image = :image)
   else count(*) filter (where in_cohort and image <> :image and not failed) end)::int as left_over
from (
  select i.image, gateway.rollout_bucket(:id, i.user_id) < :cut as in_cohort, exists (
    select from gateway.rollout_moves m where m.rollout_id = :id and m.user_id = i.user_id and m.outcome = 'failed'
  ) as failed
  from public.user_instances i
  where i.machine_id is not null and i.state <> 'deleting'
) as everybody;

-- name: rollout_idle(id, image, cut, returning, hurry, most)
-- Who sleeps and could be moved now, longest asleep first.
select i.* from public.user_instances i
where i.machine_id is not null
  and (i.state = 'stopped' or (:hurry and i.state = 'suspended'))
  and case when :returning then i.image = :image
      else i.image <> :image and gateway.rollout_bucket(:id, i.user_id) < :cut and not exists (
        select from gateway.rollout_moves m where m.rollout_id = :id and m.user_id = i.user_id and m.outcome = 'failed'
      ) end
order by i.state_since
limit :most;

-- name: rollout_unproven(id, most)
-- Moved in their sleep and not started since.
select i.* from public.user_instances i
join gateway.rollout_moves m on m.rollout_id = :id and m.user_id = i.user_id and m.outcome = 'moved'
where i.state = 'stopped'
order by m.at
limit :most;
