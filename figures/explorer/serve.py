"""Serve the explorer's pages, on this machine only unless told otherwise."""

import socket
from pathlib import Path
from typing import Any

import marimo
import uvicorn

PAGES = {"/": "model_page.py", "/data": "data_page.py"}


class AddressError(ValueError):
    """The explorer cannot listen at an address."""


def application() -> Any:
    """The ASGI application of both pages."""
    builder = marimo.create_asgi_app(quiet=True)
    for path, page in PAGES.items():
        builder = builder.with_app(path=path, root=str(Path(__file__).with_name(page)))
    return builder.build()


def serve(host: str = "127.0.0.1", port: int = 2718) -> None:
    """Serve until interrupted. Raises AddressError where the address is taken or not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((host, port))
        except OSError as error:
            raise AddressError(
                f"cannot listen at {host}:{port} ({error.strerror}): choose another with --port"
            ) from None
        taken.listen()
        print(f"the explorer is at http://{host}:{port} (Ctrl-C ends it)", flush=True)
        config = uvicorn.Config(application(), log_level="warning")
        uvicorn.Server(config).run(sockets=[taken])
