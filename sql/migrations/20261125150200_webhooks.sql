-- Outgoing webhooks: who hears of which actions, and what became of each delivery.

create table gateway.webhooks (
  id uuid not null default gen_random_uuid() constraint webhooks_pkey primary key,
  url text not null,
  actions text[] not null,
  sealed_secret bytea not null,
  last_id bigint not null,
  created_at timestamptz not null default now(),
  created_by text not null,

  constraint webhooks_some_actions check (cardinality(actions) > 0)
);
comment on table gateway.webhooks is 'Who outside hears of what is written into the audit log.';
comment on column gateway.webhooks.actions is 'Actions of the audit log; * is all of them.';
comment on column gateway.webhooks.sealed_secret is 'What deliveries are signed with, encrypted by the gateway.';
comment on column gateway.webhooks.last_id is 'Rows of the audit log up to this one were looked at.';

grant select, insert, update, delete on gateway.webhooks to jarvis_gateway;

create table gateway.webhook_deliveries (
  id uuid not null default gen_random_uuid() constraint webhook_deliveries_pkey primary key,
  webhook_id uuid not null
    constraint webhook_deliveries_webhook references gateway.webhooks (id) on delete cascade,
  audit_id bigint not null,
  status text not null default 'waiting',
  tries integer not null default 0,
  next_try_at timestamptz not null,
  claimed_until timestamptz,
  answered integer,
  error text,
  created_at timestamptz not null,
  finished_at timestamptz,

  constraint webhook_deliveries_once unique (webhook_id, audit_id),
  constraint webhook_deliveries_status_known check (status in ('waiting', 'delivered', 'dead'))
);
comment on table gateway.webhook_deliveries is 'One row of the audit log for one webhook: to be sent, sent, or given up.';
comment on column gateway.webhook_deliveries.claimed_until is 'A replica sends it now; if it dies, another may from then on.';
comment on column gateway.webhook_deliveries.answered is 'The HTTP status that came back last.';

create index webhook_deliveries_due on gateway.webhook_deliveries (next_try_at) where status = 'waiting';
create index webhook_deliveries_by_age on gateway.webhook_deliveries (finished_at) where finished_at is not null;

grant select, insert, update, delete on gateway.webhook_deliveries to jarvis_gateway;
