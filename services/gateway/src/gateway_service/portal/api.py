"""The page and its assets, all served from here: many users sit behind a wall, so no page loads anything from elsewhere."""

from importlib.resources import files
from typing import Final

import fastapi_offline
from fastapi import APIRouter
from jinja2 import Environment, PackageLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from shared.kernel.texts import Language, language_of

#: Swagger UI styles elements from its script and draws its icons from data: addresses; scripts come from here alone.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_pages: Final = Environment(
    loader=PackageLoader("gateway_service.portal", "pages"), autoescape=select_autoescape(), trim_blocks=True
)

router = APIRouter(include_in_schema=False)


async def page(request: Request) -> Response:
    """The page, in the language asked for by `?lang=` or by the browser."""
    language = _language(request)
    html = _pages.get_template("index.html").render(zh=language == "zh-CN", language=language)
    return HTMLResponse(html, headers={"Content-Security-Policy": _POLICY, "Vary": "Accept-Language"})


async def favicon(_: Request) -> Response:
    """Where browsers look for it."""
    return RedirectResponse("/assets/mark.svg", 308)


def _language(request: Request) -> Language:
    match request.query_params.get("lang"):
        case "zh":
            return "zh-CN"
        case "en":
            return "en"
        case _:
            return language_of(request.headers.get("accept-language"))


router.add_route("/", page, methods=["GET"])
router.add_route("/favicon.ico", favicon, methods=["GET"])
router.mount("/assets/swagger", StaticFiles(directory=str(files(fastapi_offline) / "static")))
router.mount("/assets", StaticFiles(directory=str(files("gateway_service.portal") / "assets")))
