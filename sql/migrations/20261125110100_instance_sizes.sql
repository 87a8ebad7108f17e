-- What size an Instance has, beside what its plan says it should have: so that a change can wait for its next sleep.

alter table public.user_instances add column guest text;
alter table public.user_instances add column volume_gb integer;
alter table public.user_instances add constraint user_instances_volume_gb_natural check (volume_gb > 0);
comment on column public.user_instances.guest is 'Size of the Machine, as provisioner.instance.Guest writes it; null: not known.';
comment on column public.user_instances.volume_gb is 'Size of the volume; null: not known. It only grows.';
