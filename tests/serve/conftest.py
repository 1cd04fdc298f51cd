"""The real app behind real HTTP."""

from __future__ import annotations

import threading
import time

import pytest
import uvicorn
from serve_help import Client

from groundling.serve.app import create_app
from groundling.serve.server import bind
from groundling.serve.service import Service


@pytest.fixture
def serving():
    """Starts a service on a free port and gives a client; everything is stopped afterwards."""
    running = []

    def start(service: Service) -> Client:
        bound = bind(service.options)
        server = uvicorn.Server(uvicorn.Config(create_app(service), log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        running.append((server, thread))
        return Client(bound.getsockname()[1])

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)
