create table public.provisioning_queue (
  -- With the Instance goes its place in the queue.
  user_id uuid not null constraint provisioning_queue_pkey primary key
    constraint provisioning_queue_instance references public.user_instances (user_id) on delete cascade,
  error text not null,
  retry_count integer not null default 0,
  next_retry_at timestamptz not null,
  status text not null default 'waiting',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),

  constraint provisioning_queue_status_known check (status in ('waiting', 'dead')),
  constraint provisioning_queue_retry_count_natural check (retry_count >= 0)
);
comment on table public.provisioning_queue is 'Provisionings that failed and will be tried again.';
comment on column public.provisioning_queue.error is 'What went wrong last, for the operator.';
comment on column public.provisioning_queue.retry_count is 'Failures after the first.';
comment on column public.provisioning_queue.status is 'dead: given up until an operator or the user asks again.';

create index provisioning_queue_due on public.provisioning_queue (next_retry_at) where status = 'waiting';
create index provisioning_queue_place on public.provisioning_queue (created_at, user_id) where status = 'waiting';

create trigger stamp_update before update on public.provisioning_queue
  for each row execute function gateway.stamp_update();

alter table public.provisioning_queue enable row level security;
revoke all on public.provisioning_queue from public, anon, authenticated, service_role;
grant select (user_id, retry_count, next_retry_at, status, created_at) on public.provisioning_queue to authenticated;
grant select on public.provisioning_queue to service_role;
grant select, insert, update, delete on public.provisioning_queue to jarvis_gateway;
create policy own_row on public.provisioning_queue for select to authenticated
  using ((select auth.uid()) = user_id);
create policy gateway_all on public.provisioning_queue to jarvis_gateway using (true) with check (true);

create table public.user_subscriptions (
  user_id uuid not null constraint user_subscriptions_pkey primary key,
  plan text not null default 'free',
  status text not null default 'active',
  current_period_end timestamptz,
  provider text,
  provider_customer_id text,
  provider_subscription_id text,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),

  constraint user_subscriptions_plan_known check (plan in ('free', 'starter', 'pro', 'enterprise')),
  constraint user_subscriptions_status_known check (status in ('active', 'trialing', 'past_due', 'canceled')),
  -- Two users never share one paid subscription; many have none.
  constraint user_subscriptions_provider_key unique (provider, provider_subscription_id)
);
comment on table public.user_subscriptions is 'The plan a user pays for. No row means free.';
comment on column public.user_subscriptions.provider_customer_id is 'The payment provider''s names for user and contract.';

create trigger stamp_update before update on public.user_subscriptions
  for each row execute function gateway.stamp_update();

alter table public.user_subscriptions enable row level security;
revoke all on public.user_subscriptions from public, anon, authenticated, service_role;
grant select (user_id, plan, status, current_period_end, created_at, updated_at)
  on public.user_subscriptions to authenticated;
grant select on public.user_subscriptions to service_role;
grant select, insert, update, delete on public.user_subscriptions to jarvis_gateway;
create policy own_row on public.user_subscriptions for select to authenticated
  using ((select auth.uid()) = user_id);
create policy gateway_all on public.user_subscriptions to jarvis_gateway using (true) with check (true);

create table public.instance_usage (
  user_id uuid not null,
  day date not null,
  awake_seconds bigint not null default 0,
  requests bigint not null default 0,
  llm_input_tokens bigint not null default 0,
  llm_output_tokens bigint not null default 0,
  llm_cost_micros bigint not null default 0,
  bytes_in bigint not null default 0,
  bytes_out bigint not null default 0,

  constraint instance_usage_pkey primary key (user_id, day),
  -- A meter only counts up; a negative number is a bug that must not reach a bill.
  constraint instance_usage_natural check (
    least(awake_seconds, requests, llm_input_tokens, llm_output_tokens, llm_cost_micros, bytes_in, bytes_out) >= 0
  )
);
comment on table public.instance_usage is 'What a user consumed on one UTC day. Outlives the Instance: it is what is billed.';
comment on column public.instance_usage.llm_cost_micros is 'Millionths of a US dollar.';
comment on column public.instance_usage.bytes_in is 'Towards the Machine.';
comment on column public.instance_usage.bytes_out is 'Towards the user.';

create index instance_usage_by_day on public.instance_usage (day);

alter table public.instance_usage enable row level security;
revoke all on public.instance_usage from public, anon, authenticated, service_role;
grant select on public.instance_usage to authenticated, service_role;
grant select, insert, update, delete on public.instance_usage to jarvis_gateway;
create policy own_row on public.instance_usage for select to authenticated
  using ((select auth.uid()) = user_id);
create policy gateway_all on public.instance_usage to jarvis_gateway using (true) with check (true);
