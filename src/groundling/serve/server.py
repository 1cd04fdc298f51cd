"""The server process: a port that is free, two lines that say how to ask, and a clean end."""

from __future__ import annotations

import errno
import json
import socket

from ..config import Serve
from ..errors import MachineError
from .guard import is_local
from .service import Service


def bind(options: Serve) -> socket.socket:
    """A socket on the host and port of the options; port 0 takes any free one. Raises MachineError where that cannot be had."""
    host, port = options.host, options.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (socket.gaierror, UnicodeError):
        raise MachineError(f'"{host}" is no address of this machine. Choose another with --host, for example 127.0.0.1.') from None
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise MachineError(_reason(error, host, port)) from None
    return bound


def _reason(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use. Stop what uses it, or choose another with --port."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} may not be opened by this account. Choose one above 1023 with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f'"{host}" is no address of this machine. Choose another with --host, for example 127.0.0.1.'
    return f"Port {port} of {host} cannot be opened ({error.strerror}). Choose another with --port or --host."


def greeting(service: Service, port: int) -> str:
    """What the terminal shows: the page's address, a curl line, and who can ask."""
    host = service.options.host
    shown = "localhost" if host in ("0.0.0.0", "::", "") else f"[{host}]" if ":" in host else host
    body = json.dumps({"messages": [{"role": "user", "content": "Your question"}]})
    lines = [
        f"{service.name} answers at http://{shown}:{port}/",
        f"curl http://{shown}:{port}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'",
    ]
    if not is_local(host):
        lines.append("Whoever reaches this machine can ask and read the documents: there is no password.")
    return "\n".join([*lines, "Ctrl-C stops it."])


def run(service: Service) -> None:
    """Serve until Ctrl-C. Raises MachineError where the port is not free."""
    with bind(service.options) as bound:
        try:
            import uvicorn

            from .app import create_app
        except ImportError as error:
            raise MachineError(f'Serving needs the extra [serve] ({error.name} is missing): pip install "groundling[serve]".') from error
        settings = uvicorn.Config(
            create_app(service), log_level="warning", access_log=False, lifespan="off", server_header=False, timeout_graceful_shutdown=3
        )
        print(greeting(service, bound.getsockname()[1]), flush=True)
        try:
            uvicorn.Server(settings).run(sockets=[bound])
        except KeyboardInterrupt:
            pass  # not always: now and then the loop has swallowed it
        print("\nStopped.")
