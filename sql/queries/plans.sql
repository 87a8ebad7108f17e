-- name: plans_in_force()
-- Everybody whose plan is not the free one and counts now. A late payment still counts: the provider says when it ends.
select user_id, plan from public.user_subscriptions
where plan <> 'free' and status in ('active', 'trialing', 'past_due');
