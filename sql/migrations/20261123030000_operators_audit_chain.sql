-- Operators with names and roles; an audit log in which every row stands on the one before.

create table gateway.operators (
  id uuid not null default gen_random_uuid() constraint operators_pkey primary key,
  name text not null constraint operators_name_key unique,
  role text not null,
  token_hash bytea not null constraint operators_token_hash_key unique,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  revoked_at timestamptz,

  constraint operators_role_known check (role in ('viewer', 'operator', 'owner')),
  constraint operators_name_plain check (name ~ '^[a-z][a-z0-9._-]{0,39}$'),
  constraint operators_token_hash_is_sha256 check (octet_length(token_hash) = 32)
);
comment on table gateway.operators is 'Who may use the admin listener. Rows stay after revocation: the audit log names them.';
comment on column gateway.operators.name is 'Never given to somebody else, or old audit rows would name the wrong one.';
comment on column gateway.operators.token_hash is 'SHA-256 of the token: this table alone opens nothing.';

-- Nobody becomes an owner by an update: what may change is only when a token was used, and that it is over.
grant select, insert, update (last_used_at, revoked_at) on gateway.operators to jarvis_gateway;

alter table gateway.audit_log add column hash bytea;
alter table gateway.audit_log add constraint audit_log_at_finite check (isfinite(at));
comment on column gateway.audit_log.hash is 'SHA-256 of the hash before and this row, by gateway.audit_link.';

create table gateway.audit_head (
  single boolean not null default true constraint audit_head_pkey primary key,
  id bigint not null,
  hash bytea not null,

  constraint audit_head_single check (single)
);
comment on table gateway.audit_head is 'The last row of the audit log, so that a log cut short is noticed. Only its trigger writes here.';

grant select on gateway.audit_head to jarvis_gateway;

create function gateway.audit_link(previous bytea, entry gateway.audit_log) returns bytea
language sql stable set search_path = '' as $$
  -- Each field with its length before it, so that no two rows are written alike; `-` is null. `provisioner.audit` says
  -- the same in Python.
  select sha256(previous || convert_to(string_agg(coalesce(octet_length(field) || ':' || field, '-'), '' order by n), 'UTF8'))
  from unnest(array[
    entry.id::text, to_char(entry.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), entry.actor, entry.action,
    entry.user_id::text, entry.from_state, entry.to_state, entry.detail::text
  ]) with ordinality as fields (field, n)
$$;
comment on function gateway.audit_link(bytea, gateway.audit_log) is 'The hash of a row, which stands on that of the row before.';
revoke all on function gateway.audit_link(bytea, gateway.audit_log) from public;

create function gateway.chain_audit() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
  head gateway.audit_head;
begin
  -- The lock is held until the row is committed: rows enter the chain one by one, in the order of their ids, without
  -- gaps. Whoever reads the head next sees this one.
  select * into strict head from gateway.audit_head for update;
  new.id := head.id + 1;
  new.hash := gateway.audit_link(head.hash, new);
  update gateway.audit_head set id = new.id, hash = new.hash;
  return new;
end
$$;
comment on function gateway.chain_audit() is 'Numbers and hashes a row, whatever the writer wanted them to be.';
revoke all on function gateway.chain_audit() from public;

create function gateway.prune_audit(older_than timestamptz, most integer) returns bigint
language plpgsql security definer set search_path = '' as $$
declare
  upto bigint;
  link bytea;
  gone bigint;
begin
  if older_than > now() - interval '30 days' then
    raise exception 'audit rows of the last 30 days are kept' using errcode = 'insufficient_privilege';
  end if;
  perform from gateway.audit_head for update;
  select coalesce(min(id) - 1, (select max(id) from gateway.audit_log)) into upto
  from gateway.audit_log where at >= older_than;
  select least(upto, min(id) + most - 1) into upto from gateway.audit_log;
  select hash into link from gateway.audit_log where id = upto;
  if not found then
    return 0;
  end if;
  perform set_config('gateway.pruning', 'on', true);
  delete from gateway.audit_log where id <= upto;
  get diagnostics gone = row_count;
  perform set_config('gateway.pruning', '', true);
  insert into gateway.audit_log (at, actor, action, detail)
  values (now(), 'retention', 'audit_pruned', jsonb_build_object('upto', upto, 'hash', encode(link, 'hex'), 'rows', gone));
  return gone;
end
$$;
comment on function gateway.prune_audit(timestamptz, integer) is 'Drops the oldest rows; the row it adds says where the chain goes on.';
revoke all on function gateway.prune_audit(timestamptz, integer) from public;
grant execute on function gateway.prune_audit(timestamptz, integer) to jarvis_gateway;

create or replace function gateway.refuse_change() returns trigger
language plpgsql set search_path = '' as $$
begin
  if tg_op = 'DELETE' and current_setting('gateway.pruning', true) = 'on' then
    return null;
  end if;
  raise exception '% is append only: % refused', tg_table_name, tg_op using errcode = 'insufficient_privilege';
end
$$;
comment on function gateway.refuse_change() is 'Binds also those whom grants do not bind: the owner and superusers. Retention alone deletes.';

-- Rows that are there already: numbered as they were written, from 1 on without gaps, and chained.
alter table gateway.audit_log disable trigger append_only;

do $$
declare
  entry gateway.audit_log;
  head bytea := decode(repeat('00', 32), 'hex');
  n bigint := 0;
begin
  for entry in select * from gateway.audit_log order by id loop
    n := n + 1;
    delete from gateway.audit_log where id = entry.id;
    entry.id := n;
    entry.hash := gateway.audit_link(head, entry);
    insert into gateway.audit_log overriding system value values (entry.*);
    head := entry.hash;
  end loop;
  insert into gateway.audit_head (id, hash) values (n, head);
end
$$;

alter table gateway.audit_log enable always trigger append_only;
alter table gateway.audit_log alter column hash set not null;
alter table gateway.audit_log add constraint audit_log_hash_is_sha256 check (octet_length(hash) = 32);

create trigger chain before insert on gateway.audit_log
  for each row execute function gateway.chain_audit();
alter table gateway.audit_log enable always trigger chain;
