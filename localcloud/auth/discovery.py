"""What anybody may know of the project: keys, settings, health."""

from aiohttp import web

from localcloud.auth.service import SERVICE

OTHER_PROVIDERS = ("anonymous_users", "apple", "azure", "discord", "email", "facebook", "github", "gitlab", "phone")


async def jwks(request: web.Request) -> web.Response:
    """Public keys only. The edge caches this ten minutes, hence the header."""
    return web.json_response(
        {"keys": request.app[SERVICE].keys.published()}, headers={"Cache-Control": "public, max-age=600"}
    )


async def settings(request: web.Request) -> web.Response:
    project = request.app[SERVICE].project
    return web.json_response(
        {
            "external": {**dict.fromkeys(OTHER_PROVIDERS, False), "google": project.google_enabled},
            "disable_signup": project.disable_signup,
            "mailer_autoconfirm": False,
            "phone_autoconfirm": False,
            "sms_provider": "",
            "saml_enabled": False,
        }
    )


async def health(_: web.Request) -> web.Response:
    return web.json_response(
        {
            "version": "v2.196.0-local",
            "name": "GoTrue",
            "description": "GoTrue is a user registration and authentication API",
        }
    )
