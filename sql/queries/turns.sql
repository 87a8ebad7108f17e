-- name: take_turn(action, thing, interval_s, burst)$
-- Take the next turn; the seconds until it comes, not below 0. The generic cell rate algorithm, by the database's clock.
with taken as (
  insert into gateway.fly_turns as t (action, thing, full_at)
  values (:action, :thing, clock_timestamp() + make_interval(secs => :interval_s::float8))
  on conflict (action, thing) do update
  set full_at = greatest(t.full_at, clock_timestamp()) + make_interval(secs => :interval_s::float8)
  returning full_at
)
select greatest(0, extract(epoch from full_at - clock_timestamp()) - :burst::float8 * :interval_s::float8)::float8 from taken;

-- name: return_turn(action, thing, interval_s)!
-- It was not used.
update gateway.fly_turns set full_at = full_at - make_interval(secs => :interval_s::float8)
where action = :action and thing = :thing;

-- name: pause_turns(action, thing, seconds, interval_s, burst)!
-- Fly said 429: no turn for so long, and no burst after it.
insert into gateway.fly_turns as t (action, thing, full_at)
values (:action, :thing, clock_timestamp() + make_interval(secs => :seconds::float8 + :burst::float8 * :interval_s::float8))
on conflict (action, thing) do update set full_at = greatest(t.full_at, excluded.full_at);
