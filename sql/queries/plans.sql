-- name: plans_in_force()
-- Everybody whose plan is not the free one and counts now. A late payment still counts: the provider says when it ends.
select user_id, plan from public.user_subscriptions
where plan <> 'free' and status in ('active', 'trialing', 'past_due');

-- name: plan_in_force(user_id)$
-- The plan of one user; null: the free one.
select plan from public.user_subscriptions
where user_id = :user_id and plan <> 'free' and status in ('active', 'trialing', 'past_due');

-- name: set_plan(user_id, plan, actor, now)$
-- The plan before this one, which is in force from now on, with its audit row. Two at once take turns on the row;
-- what the provider calls the contract stays as it is.
with before as (
  select plan, status from public.user_subscriptions where user_id = :user_id for update
), was as (
  select coalesce((select plan from before where status in ('active', 'trialing', 'past_due')), 'free') as plan
), given as (
  insert into public.user_subscriptions as s (user_id, plan, status, created_at)
  select :user_id, :plan, 'active', :now from was where was.plan <> :plan
  on conflict (user_id) do update set plan = excluded.plan, status = excluded.status
  returning s.user_id, s.plan
), audited as (
  insert into gateway.audit_log (at, actor, action, user_id, detail)
  select :now, :actor, 'plan', given.user_id, jsonb_build_object('from', was.plan, 'to', given.plan) from given, was
)
select plan from was;
