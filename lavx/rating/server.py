"""The server of the rating page: Starlette over the store. Nothing that it sends tells what made an explanation.

Every answer of the server has the same form whatever it is about: media the same number of bytes and the same
headers,
everything else a fixed number of bytes too. A rater's page has an address that cannot be guessed, and no cookie,
so
that another site cannot act in a rater's name; requests under a foreign host name, or from another origin, are
refused.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lavx.files import why_not_writable
from lavx.rating.media import Media
from lavx.rating.store import Refused, State, Store

LONGEST_BODY = 16 * 1024  # bytes
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PADDED = 8192  # bytes of a JSON answer, or a multiple
_STATIC = Path(__file__).parent / "static"
_KINDS = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src blob:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}
_FULL = (
    "Your answer could not be stored yet (the disk of the study's computer is full). Please tell whoever runs the "
    "study."
)
_BUSY = "Your answer could not be stored yet. Please tell whoever runs the study if this stays."

T = TypeVar("T")
Body = dict[str, Any]


class Guard:
    """Lets only requests pass that were meant for this server.

    A page of another site can make a browser send requests here, under its own name (DNS rebinding) or from its
    own
    origin; both are refused.

    Args:
        app: what is guarded.
        hosts: names under which the server is reached, without port.
        any_address: whether it is reached under any numeric address, too.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], any_address: bool) -> None:
        self._app = app
        self._hosts = {host.lower().rstrip(".") for host in hosts}
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a refusal."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(key.lower().encode(), value.encode()) for key, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *own]
            await send(message)

        refusal = self._refusal(Request(scope))
        answer = self._app if refusal is None else _problem(*refusal)
        await answer(scope, receive, with_headers)

    def _refusal(self, request: Request) -> tuple[int, str] | None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return 421, "This server does not go by that name."
        origins = request.headers.getlist("origin")
        if any(urlsplit(origin).netloc.lower() != hosts[0].lower() for origin in origins):
            return 403, "Requests from other sites are refused."
        if request.method != "GET" and request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return 403, "Requests from other sites are refused."
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return name in self._hosts or (self._any_address and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Pages:
    """The answers to the requests of raters' browsers.

    Args:
        store: the ratings.
        media: the files of the items.
        colors: of the color bar, from the least important on, and what its two ends mean; None without colors.
        open_to_all: whether anybody may begin who has the address; otherwise raters have links of their own.
        key: what the address must hold to begin; None where no key is needed.
    """

    def __init__(
        self,
        store: Store,
        media: Media,
        colors: tuple[list[str], tuple[str, str]] | None,
        open_to_all: bool,
        key: str | None,
    ) -> None:
        self._store = store
        self._media = media
        self._colors = colors
        self._open = open_to_all
        self._key = key

    def routes(self) -> list[Route]:
        """Every address that there is."""
        rater = "/r/{link}"
        return [
            Route("/", self.start_page),
            Route("/start", self.start, methods=["POST"]),
            Route(rater, self.page),
            Route(f"{rater}/state", self.state),
            Route(f"{rater}/agree", self.agree, methods=["POST"]),
            Route(f"{rater}/answer", self.answer, methods=["POST"]),
            Route(f"{rater}/undo", self.undo, methods=["POST"]),
            Route(f"{rater}/withdraw", self.withdraw, methods=["POST"]),
            Route(f"{rater}/media/{{token}}/{{side:int}}", self.media),
            Route("/static/{name}", self.static),
        ]

    async def start_page(self, request: Request) -> Response:
        """The page from which a rater begins."""
        self._check_key(request.query_params.get("key", ""))
        return _file("start.html" if self._open else "closed.html")

    async def start(self, request: Request) -> Response:
        """Enroll a rater."""
        body = await _body(request)
        self._check_key(body.get("key", ""))
        if not self._open:
            raise Refused(403, "Please use the link that you were given.")
        rater = await _result(self._store.enroll())
        return _json({"link": f"/r/{rater.link}"})

    def _check_key(self, given: object) -> None:
        if self._key is None:
            return
        if not isinstance(given, str) or not secrets.compare_digest(
            given.encode(errors="replace"), self._key.encode()
        ):
            raise Refused(403, "Please use the link that you were given, whole.")

    async def page(self, request: Request) -> Response:
        """The page of a rater: the same for all."""
        await _result(self._store.state(request.path_params["link"]))
        return _file("rate.html")

    async def state(self, request: Request) -> Response:
        """What the page is to show."""
        state = await _result(self._store.state(request.path_params["link"]))
        return _json(self._shown(state) | {"study": self._study()})

    async def agree(self, request: Request) -> Response:
        """Instructions were read."""
        await _body(request)
        return _json(self._shown(await _result(self._store.agree(request.path_params["link"]))))

    async def answer(self, request: Request) -> Response:
        """Keep an answer."""
        body = await _body(request)
        token, attempt = _named(body)
        given = (body.get("value"), body.get("reaction_ms"), body.get("remark"))
        return _json(
            self._shown(await _result(self._store.answer(request.path_params["link"], token, attempt, *given)))
        )

    async def undo(self, request: Request) -> Response:
        """Take back an answer."""
        named = _named(await _body(request))
        return _json(self._shown(await _result(self._store.undo(request.path_params["link"], *named))))

    async def withdraw(self, request: Request) -> Response:
        """Delete what a rater has answered."""
        await _body(request)
        return _json(self._shown(await _result(self._store.withdraw(request.path_params["link"]))))

    async def media(self, request: Request) -> Response:
        """The video of one of a rater's questions."""
        link, token, side = (request.path_params[name] for name in ("link", "token", "side"))
        if side not in (0, 1):
            raise Refused(404, "There is no such video.")
        number = await _result(self._store.item(link, token, side))
        return Response(await run_in_threadpool(self._media.read, number), media_type="video/mp4")

    async def static(self, request: Request) -> Response:
        """Scripts and styles."""
        name = request.path_params["name"]
        if name not in _files():
            raise Refused(404, "There is no such page.")
        return _file(name)

    def _study(self) -> Body:
        protocol = self._store.content.protocol
        return {
            "design": protocol.design,
            "question": protocol.question,
            "range": protocol.range,
            "labels": protocol.labels,
            "remarks": protocol.remarks,
            "instructions": protocol.instructions,
            "consent": protocol.consent,
            "colors": self._colors,
        }

    def _shown(self, state: State) -> Body:
        """A state as the page may know it: what is shown has only random names, and no kind."""
        shown: Body = {"stage": state.stage, "done": state.done, "total": state.total, "last": state.last,
                       "last_attempt": state.last_attempt}  # fmt: skip
        if state.stage == "trial":
            item = self._store.content.items[state.item]
            shown |= {"practice": state.practice, "token": state.token, "attempt": state.attempt,
                      "class": item.class_name, "upcoming": state.upcoming}  # fmt: skip
        return shown


def application(pages: Pages, hosts: Collection[str] = LOOPBACK, any_address: bool = False) -> ASGIApp:
    """The whole server.

    Args:
        pages: what it answers.
        hosts: names under which it is reached, without port.
        any_address: whether it is reached under any numeric address, too.
    """
    handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        Refused: _refused,
        HTTPException: _no_such_page,
        sqlite3.Error: _not_stored,
        ClientDisconnect: _gone,
    }
    app = Starlette(routes=pages.routes(), exception_handlers=handlers)  # type: ignore[arg-type]
    app.router.redirect_slashes = False
    return Guard(app, hosts, any_address)


async def _refused(request: Request, error: Refused) -> Response:
    return _problem(error.status, error.message)


async def _no_such_page(request: Request, error: HTTPException) -> Response:
    return _problem(error.status_code, "There is no such page.")


async def _gone(request: Request, error: ClientDisconnect) -> Response:
    return _problem(400, "The request was cut off.")


async def _not_stored(request: Request, error: sqlite3.Error) -> Response:
    full = getattr(error, "sqlite_errorname", "") == "SQLITE_FULL" or why_not_writable(error) is not None
    return _problem(507 if full else 503, _FULL if full else _BUSY)


async def _result(future: Future[T]) -> T:
    return await asyncio.wrap_future(future)


async def _body(request: Request) -> Body:
    """The JSON object of a request.

    A type of content that pages cannot send elsewhere without being asked about is required.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "Requests must be JSON.")
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > LONGEST_BODY:
            raise Refused(413, "That is too long.")
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "Requests must be JSON.") from error
    if not isinstance(body, dict):
        raise Refused(400, "Requests must be JSON objects.")
    return body


def _named(body: Body) -> tuple[str, int]:
    """The question that a request is about."""
    token, attempt = body.get("token"), body.get("attempt")
    whole = isinstance(attempt, int) and not isinstance(attempt, bool) and 0 <= attempt < 2**31
    if not isinstance(token, str) or not token.isascii() or not whole:
        raise Refused(400, "A request must name its question by token and attempt.")
    assert isinstance(attempt, int)
    return token, attempt


def _padded(content: Body) -> bytes:
    text = json.dumps(content).encode()
    return text + b" " * (-len(text) % _PADDED)  # so that its length tells nothing


def _json(content: Body, status: int = 200) -> Response:
    return Response(_padded(content), status, media_type="application/json")


def _problem(status: int, message: str) -> Response:
    return _json({"message": message}, status)


def _files() -> set[str]:
    return {"start.js", "rate.js", "page.css"}


def _file(name: str) -> Response:
    return Response((_STATIC / name).read_bytes(), media_type=_KINDS[Path(name).suffix])
