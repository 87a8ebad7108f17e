-- The admin API: changes that are made once under a key, and news of the audit log.

create table gateway.idempotency_keys (
  caller text not null,
  key text not null,
  asked bytea not null,
  begun_at timestamptz not null,
  status integer,
  content_type text,
  sealed bytea,

  constraint idempotency_keys_pkey primary key (caller, key),
  constraint idempotency_keys_asked_is_sha256 check (octet_length(asked) = 32),
  constraint idempotency_keys_kept_whole check (
    (status is null) = (content_type is null) and (status is null) = (sealed is null)
  )
);
comment on table gateway.idempotency_keys is 'Changes of the last day that operators made under a key, and what was answered.';
comment on column gateway.idempotency_keys.asked is 'SHA-256 of method, path, query and body: the same key for another request is refused.';
comment on column gateway.idempotency_keys.status is 'Null: under way.';
comment on column gateway.idempotency_keys.sealed is 'The answer''s body, encrypted: some show a secret once.';

create index idempotency_keys_by_age on gateway.idempotency_keys (begun_at);

grant select, insert, update, delete on gateway.idempotency_keys to jarvis_gateway;

create function gateway.announce_audit() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('audit_written', new.id::text);
  return null;
end
$$;
comment on function gateway.announce_audit() is 'Whoever follows the log hears that it grew.';
revoke all on function gateway.announce_audit() from public;

create trigger announce after insert on gateway.audit_log
  for each row execute function gateway.announce_audit();
