"""Runs the server of the rating page until it is stopped."""

from __future__ import annotations

import errno
import ipaddress
import socket
from contextlib import closing
from urllib.parse import quote

import uvicorn
from starlette.types import ASGIApp

from lavx.errors import RequestError


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address(host: str, port: int, key: str | None) -> str:
    """What to open in a browser."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?key={quote(key)}" if key is not None else "")


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        RequestError: if the address cannot be had, saying why.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(1024)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise RequestError(f"port {port} is in use already. Give another one: port={port + 1}") from error
        raise RequestError(f"cannot listen on host={host} port={port} ({error.strerror or error})") from error
    return made


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Answer requests until the process is asked to stop; those that have come are answered first."""
    config = uvicorn.Config(
        app, http="h11", ws="none", loop="asyncio", lifespan="off", log_level="warning", access_log=False,
        server_header=False, timeout_keep_alive=20, timeout_graceful_shutdown=5,
    )  # fmt: skip
    with closing(listener):
        uvicorn.Server(config).run(sockets=[listener])


def own_names() -> list[str]:
    """What this computer calls itself."""
    return sorted({socket.gethostname(), socket.getfqdn()})
