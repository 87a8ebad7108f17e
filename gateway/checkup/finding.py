"""What a check found, and the catalogue of codes: what each means and what to do. docs/health.md is made from it."""

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["good", "warn", "bad"]
PAGE: Final = "docs/health.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """One thing that is checked, and what an operator does when it is not as it should be."""

    title: str
    cause: str
    check: str
    fix: str


CATALOGUE: Final[dict[str, Code]] = {
    "SET1": Code(
        title="Settings can be read",
        cause="A setting is missing, or is not what it has to be.",
        check="The finding names each; docs/settings.md has all of them.",
        fix="Set what is named (`fly secrets set` for secrets, `[env]` of fly.toml for the rest) and start anew.",
    ),
    "SET2": Code(
        title="The public address is HTTPS",
        cause="PUBLIC_URL begins with http://, so cookies are not marked Secure.",
        check="`PUBLIC_URL`; on one machine alone this is as it should be.",
        fix="Set PUBLIC_URL to the https:// address that browsers show.",
    ),
    "DB1": Code(
        title="The database answers",
        cause="Postgres is away, full of connections, or the password in DATABASE_URL is not right.",
        check="Supabase's status page; *Database → Connections*; `psql \"$DATABASE_URL\" -c 'select 1'`.",
        fix="Mend DATABASE_URL, or wait for Supabase. Users whose Machine is awake are served meanwhile.",
    ),
    "DB2": Code(
        title="The schema is this release's",
        cause="`my-jarvis migrate` has not run since this release was deployed, or an older release runs.",
        check="`select version from supabase_migrations.schema_migrations order by 1 desc limit 5`.",
        fix="Run `my-jarvis migrate` as the owner of the schemas (MIGRATION_DATABASE_URL).",
    ),
    "DB3": Code(
        title="NOTIFY is heard",
        cause="DATABASE_URL leads through a transaction pooler (port 6543): replicas then keep what is out of date.",
        check="The port in DATABASE_URL.",
        fix="Use the direct connection or the session pooler, port 5432.",
    ),
    "CLK1": Code(
        title="Our clock agrees with the others",
        cause="This host's clock is off: tokens count as expired or not yet valid, leases are taken early.",
        check="`date -u` here, and the Date header of any large site.",
        fix="Let the host set its clock by NTP. On Fly: move the Machine to another host.",
    ),
    "AUTH1": Code(
        title="Supabase Auth answers",
        cause="SUPABASE_URL or SUPABASE_PUBLISHABLE_KEY is not right, or Supabase is away.",
        check='`curl -H "apikey: $SUPABASE_PUBLISHABLE_KEY" $SUPABASE_URL/auth/v1/health`; Supabase\'s status page.',
        fix="Mend the two settings. While Supabase is away, whoever is signed in stays so.",
    ),
    "AUTH2": Code(
        title="Google sign-in is on",
        cause="The provider is not enabled in the project: every sign-in ends on the landing page with an error.",
        check="Supabase: *Authentication → Sign in / Providers → Google*.",
        fix="Enable Google with the client id and secret of your OAuth client; docs/operations.md, step 3.",
    ),
    "AUTH3": Code(
        title="Tokens can be verified",
        cause="The project publishes no signing key and SUPABASE_JWT_SECRET is not set.",
        check="`curl $SUPABASE_URL/auth/v1/.well-known/jwks.json`.",
        fix="Move the project to asymmetric signing keys, or set SUPABASE_JWT_SECRET while it signs with a secret.",
    ),
    "FLY1": Code(
        title="Fly's API takes our token",
        cause="MACHINES_API_TOKEN ended or opens another organisation; or Fly's API is away.",
        check="`fly tokens list`; Fly's status page; `MACHINES_ORG_SLUG`.",
        fix="Make a token for the organisation, set it, then revoke the old one. Awake Machines are served meanwhile.",
    ),
    "FLY2": Code(
        title="The app of the Machines is there",
        cause="It was not made yet, or was deleted. The gateway makes it at its start.",
        check="`fly apps list`; log `machines_app_not_ready`.",
        fix="Start the gateway with a token that may make apps, or `fly apps create` it in the organisation.",
    ),
    "IMG1": Code(
        title="The golden image is pinned by digest",
        cause="GOLDEN_IMAGE names a tag: what it means may change under running Machines.",
        check="GOLDEN_IMAGE ends in `@sha256:` and 64 hex digits.",
        fix="Deploy with the digest that the push printed.",
    ),
    "LIFE1": Code(
        title="Every replica lives, with all its background work",
        cause="A replica ended without saying so, or one of its loops died of a bug.",
        check="`my-jarvis admin replicas`; log `background_work_ended`.",
        fix="Restart that replica. What it had begun is gone on with by the others.",
    ),
    "LIFE2": Code(
        title="Nobody is given up",
        cause="Provisionings failed so often that nobody tries them any more.",
        check="The dashboard's *Needs you*; `my-jarvis admin needs`.",
        fix="Mend what the errors name, then try them again: one click, or `my-jarvis admin wake`.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found. `told` says it in a sentence, without secrets."""

    code: str
    level: Level
    told: str

    @property
    def title(self) -> str:
        return CATALOGUE[self.code].title

    @property
    def cause(self) -> str:
        return CATALOGUE[self.code].cause

    @property
    def check(self) -> str:
        return CATALOGUE[self.code].check

    @property
    def fix(self) -> str:
        return CATALOGUE[self.code].fix

    @property
    def doc(self) -> str:
        return f"{PAGE}#{self.code.lower()}"


def good(code: str, told: str) -> Finding:
    return Finding(code=code, level="good", told=told)


def warn(code: str, told: str) -> Finding:
    return Finding(code=code, level="warn", told=told)


def bad(code: str, told: str) -> Finding:
    return Finding(code=code, level="bad", told=told)
