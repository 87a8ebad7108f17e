-- name: add_step_times(instance_ids, paths, steps, took_s, ats)!
-- How long each step of some runs took.
insert into gateway.step_times (instance_id, path, step, took_s, at)
select * from unnest(:instance_ids::uuid[], :paths::text[], :steps::text[], :took_s::float8[], :ats::timestamptz[]);

-- name: drop_step_times(path)!
-- Of each path only the latest 2000 rows are kept: nobody asks for older ones.
delete from gateway.step_times
where path = :path and at < (
  select at from gateway.step_times where path = :path order by at desc offset 2000 limit 1
);

-- name: usual_step_times()
-- The median and the 95th percentile by path and step over the latest 200 runs of each path.
with runs as (
  select path, step, took_s, dense_rank() over (partition by path order by at desc, instance_id) as run
  from gateway.step_times
)
select path, step,
  percentile_cont(0.5) within group (order by took_s) as median_s,
  percentile_cont(0.95) within group (order by took_s) as p95_s
from runs
where run <= 200
group by path, step;

-- name: append_audit(actor, action, user_id, detail, now)!
-- What was done without a change of state.
insert into gateway.audit_log (at, actor, action, user_id, detail)
values (:now, :actor, :action, :user_id, :detail::jsonb);
