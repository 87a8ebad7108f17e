"""Who is behind an Authorization header: access tokens of our Supabase project, and personal access tokens."""

from gateway.session.admissions import Admissions
from gateway.session.identity import Identity
from gateway.session.logins import Logins, session_of
from gateway.session.personal import PersonalTokens, looks_personal
from gateway.session.token import Tokens


class Bearers:
    """Reads the header and checks what is in it. Any other Authorization belongs to the App and is not looked at."""

    def __init__(self, tokens: Tokens, personal: PersonalTokens, logins: Logins, admissions: Admissions) -> None:
        self._tokens, self._personal, self._logins, self._admissions = tokens, personal, logins, admissions

    def token_in(self, authorization: str | None) -> str | None:
        """The token, if it is one of ours, good or bad. Such a header must never reach a Machine."""
        if authorization is None:
            return None
        scheme, _, token = authorization.partition(" ")
        token = token.strip(" ")
        if scheme.lower() != "bearer" or not token.isascii():
            return None
        return token if looks_personal(token) or self._tokens.ours(token) else None

    async def identify(self, token: str) -> Identity:
        """Who it was given to. Raises NotSignedIn, NotAdmitted, SignInUnavailable."""
        if looks_personal(token):
            identity = await self._personal.verify(token)
        else:
            claims = await self._tokens.verify(token)
            session = session_of(claims.supabase_session_id, claims.issued_at)
            await self._logins.check(claims.user_id, session)
            identity = Identity(
                user_id=claims.user_id,
                email=claims.email,
                supabase_session_id=claims.supabase_session_id,
                session=session,
                expires_at=claims.expires_at,
            )
        # Who signs in by a browser was asked then; who comes with a token of Supabase's own has passed no door yet.
        await self._admissions.check(identity.user_id, identity.email)
        return identity
