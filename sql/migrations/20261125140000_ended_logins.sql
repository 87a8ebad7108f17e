-- Logins at Supabase that ended, so that access tokens of theirs open nothing any more, although they are still signed
-- and in time; and ends that come about at Supabase itself, heard at once.

create function gateway.announce_login_end() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('login_ended', new.user_id::text);
  return null;
end
$$;
comment on function gateway.announce_login_end() is 'What a login opened has to be looked at anew, on every replica.';
revoke all on function gateway.announce_login_end() from public;

create table gateway.ended_logins (
  id bigint generated always as identity constraint ended_logins_pkey primary key,
  user_id uuid not null,
  supabase_session_id uuid,
  reason text not null,
  ended_at timestamptz not null default now(),

  constraint ended_logins_reason_known check (reason in ('session_over', 'signed_out_everywhere', 'banned', 'deleted'))
);
comment on table gateway.ended_logins is 'Logins at Supabase whose access tokens count for nothing. Kept for as long as one of those may live.';
comment on column gateway.ended_logins.supabase_session_id is 'Null: every login of this user that began before ended_at.';
comment on column gateway.ended_logins.reason is 'With banned and deleted, personal access tokens end too.';

create index ended_logins_by_user on gateway.ended_logins (user_id);
create index ended_logins_by_time on gateway.ended_logins (ended_at);

create trigger announce after insert on gateway.ended_logins
  for each row execute function gateway.announce_login_end();

grant select, insert, delete on gateway.ended_logins to jarvis_gateway;

-- A session of ours that ends takes its login at Supabase along.
create or replace function gateway.announce_session_end() returns trigger
language plpgsql set search_path = '' as $$
begin
  perform pg_catalog.pg_notify('session_ended', pg_catalog.encode(old.id_hash, 'hex'));
  if old.supabase_session_id is not null and not exists (
    select from gateway.ended_logins e
    where e.user_id = old.user_id and e.supabase_session_id = old.supabase_session_id
  ) then
    insert into gateway.ended_logins (user_id, supabase_session_id, reason)
    values (old.user_id, old.supabase_session_id, 'session_over');
  end if;
  return null;
end
$$;
comment on function gateway.announce_session_end() is 'A sign-out here ends the session in every replica''s memory, and its login with it.';

create function gateway.hear_of_user() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  -- This runs within Supabase Auth's own transaction: it locks nothing that others hold, and never makes it fail.
  begin
    if tg_op = 'DELETE' then
      insert into gateway.ended_logins (user_id, reason) values (old.id, 'deleted');
    elsif new.deleted_at is not null then
      insert into gateway.ended_logins (user_id, reason) values (new.id, 'deleted');
    elsif new.banned_until > pg_catalog.now() then
      insert into gateway.ended_logins (user_id, reason) values (new.id, 'banned');
    end if;
  exception when others then
    raise warning 'the gateway did not hear of user %: %', coalesce(new.id, old.id), sqlerrm;
  end;
  return null;
end
$$;
comment on function gateway.hear_of_user() is 'Who is banned or deleted at Supabase is out here within moments.';
revoke all on function gateway.hear_of_user() from public;

create function gateway.hear_of_session() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  begin
    if not exists (
      select from gateway.ended_logins e where e.user_id = old.user_id and e.supabase_session_id = old.id
    ) then
      insert into gateway.ended_logins (user_id, supabase_session_id, reason)
      values (old.user_id, old.id, 'session_over');
    end if;
  exception when others then
    raise warning 'the gateway did not hear of the end of session %: %', old.id, sqlerrm;
  end;
  return null;
end
$$;
comment on function gateway.hear_of_session() is 'Who signs out at Supabase is signed out here within moments.';
revoke all on function gateway.hear_of_session() from public;

-- Supabase lets a project put triggers on these two tables. Where it does not, ends at Supabase are noticed at the next
-- refresh, as before.
do $$
begin
  create trigger gateway_hears after delete or update of banned_until, deleted_at on auth.users
    for each row execute function gateway.hear_of_user();
  create trigger gateway_hears after delete on auth.sessions
    for each row execute function gateway.hear_of_session();
exception when insufficient_privilege or undefined_table or undefined_column or invalid_schema_name then
  raise warning 'no triggers on schema auth (%): bans are noticed at the next refresh only', sqlerrm;
end
$$;
