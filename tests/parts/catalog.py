"""A database's own description of its schema, to compare two of them."""

from typing import Any, Final

# Each gives lines of text about everything in the schemas public and gateway. Names and definitions as Postgres
# itself prints them, so two databases agree exactly where no query could tell them apart.
_QUERIES: Final = {
    "relations": """
        select c.oid::regclass, c.relkind, c.relowner::regrole, c.relrowsecurity, c.relforcerowsecurity,
               obj_description(c.oid, 'pg_class')
        from pg_class c where {ours}""",
    "columns": """
        select c.oid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)
        from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum where c.relkind in ('r', 'S') and {ours}""",
    "constraints": """
        select c.oid::regclass, k.conname, pg_get_constraintdef(k.oid)
        from pg_class c join pg_constraint k on k.conrelid = c.oid where {ours}""",
    "indexes": "select pg_get_indexdef(c.oid) from pg_class c where c.relkind = 'i' and {ours}",
    "policies": """
        select c.oid::regclass, p.polname, p.polcmd, p.polpermissive,
               array(select r::regrole::text from unnest(p.polroles) r order by 1),
               pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
        from pg_class c join pg_policy p on p.polrelid = c.oid where {ours}""",
    "triggers": """
        select pg_get_triggerdef(t.oid), t.tgenabled
        from pg_class c join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal
        where {ours} or c.relnamespace = 'auth'::regnamespace""",
    "functions": """
        select pg_get_functiondef(p.oid), p.proowner::regrole, obj_description(p.oid, 'pg_proc')
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname in ('public', 'gateway')""",
    "grants": """
        select what, grantee::regrole, privilege_type, is_grantable from (
          select n.nspname::text as what, (aclexplode(n.nspacl)).* from pg_namespace n
          where n.nspname in ('public', 'gateway')
          union all
          select c.oid::regclass::text, (aclexplode(c.relacl)).* from pg_class c where {ours}
          union all
          select c.oid::regclass || '.' || a.attname, (aclexplode(a.attacl)).*
          from pg_class c join pg_attribute a on a.attrelid = c.oid where {ours}
          union all
          select p.oid::regprocedure::text, (aclexplode(p.proacl)).*
          from pg_proc p where p.pronamespace in ('public'::regnamespace, 'gateway'::regnamespace)
        ) as granted""",
    "schemas": """
        select n.nspname, n.nspowner::regrole, obj_description(n.oid, 'pg_namespace')
        from pg_namespace n where n.nspname in ('public', 'gateway')""",
}
_OURS: Final = "c.relnamespace in ('public'::regnamespace, 'gateway'::regnamespace)"


async def catalog(connection: Any) -> dict[str, list[str]]:
    """Everything about the schemas public and gateway, sorted, by kind."""
    return {
        kind: sorted(str(tuple(row)) for row in await connection.fetch(query.replace("{ours}", _OURS)))
        for kind, query in _QUERIES.items()
    }
