"""The rest of the app: passages in their context, the page and who may ask; and the server's port."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys

import pytest
from serve_help import LEAVE, QUOTE, Client, make_service

from groundling.config import Serve
from groundling.errors import MachineError
from groundling.serve import server

CITED = f"##begin_quote##{QUOTE}##end_quote## [0]\n<ANSWER>: 25 days"


def test_a_cited_span_stands_in_the_passage_in_its_context(serving):
    client = serving(make_service({"leave": CITED}))
    [source] = client.ask("leave").json["groundling"]["sources"]
    passage = client(f"/v1/passages/{source['chunk']}").json
    shown, offset = passage["document"]["text"], passage["document"]["offset"]
    assert shown[source["start"] - offset : source["end"] - offset] == QUOTE
    assert shown == LEAVE and (passage["path"], passage["page"]) == ("leave.pdf", 1)


def test_the_context_is_an_excerpt_of_a_long_document(serving):
    passage = serving(make_service({}))("/v1/passages/d2%2Fdoor").json
    shown, offset = passage["document"]["text"], passage["document"]["offset"]
    assert (offset, passage["document"]["length"]) == (3000, 10_022)
    assert shown == "x" * 2000 + "The door code is 1234." + "y" * 2000
    assert shown[passage["start"] - offset : passage["end"] - offset] == passage["text"]


@pytest.mark.parametrize("change", ["gone", "edited"])
def test_a_document_that_changed_shows_the_passage_alone(serving, change):
    service = make_service({})
    other = service.document("d2")
    service = service._replace(document=lambda _: None if change == "gone" else other)
    passage = serving(service)("/v1/passages/d1/days").json
    assert passage["document"]["text"] == passage["text"] and passage["document"]["offset"] == passage["start"]


def test_unknown_places(serving):
    client = serving(make_service({}))
    passage, nowhere, wrong = client("/v1/passages/nope"), client("/v2"), client("/v1/chat/completions")
    assert passage.status == 404 and passage.json["error"]["message"].startswith('There is no passage "nope".')
    assert nowhere.status == 404 and "There is nothing at /v2" in nowhere.json["error"]["message"]
    assert wrong.status == 405 and "are posted to" in wrong.json["error"]["message"]


def test_models_and_health(serving):
    client = serving(make_service({}))
    assert [m["id"] for m in client("/v1/models").json["data"]] == ["handbook"]
    health = client("/health").json
    assert (health["status"], health["name"], health["model"], health["passages"]) == ("ok", "handbook", "scripted", 3)


def test_the_page_runs_only_its_own_script_and_reaches_only_its_server(serving):
    page = serving(make_service({}))("/")
    policy = page.headers["content-security-policy"]
    assert page.status == 200 and page.text.startswith("<!doctype html>")
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    for way in ("innerHTML", "insertAdjacentHTML", "document.write", "eval(", "https://", 'src="', "style="):
        assert way not in page.text, way


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1", "10.0.0.1"])
def test_a_foreign_host_is_refused(serving, host):
    service = make_service({"leave": CITED})
    client = serving(service)
    for path, body in (("/v1/passages/d1/days", None), ("/v1/chat/completions", {"messages": [{"role": "user", "content": "leave"}]})):
        reply = client(path, body, Host=host)
        # an invalid host may be refused by the HTTP parser before it gets here
        assert reply.status == 403 and "answers only as localhost" in reply.json["error"]["message"] or reply.status == 400 and not host
    assert service.answerer.model.requests == []


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "127.0.0.1:1", "[::1]:8080", "LOCALHOST", "localhost."])
def test_names_of_this_machine_are_let_in(serving, host):
    assert serving(make_service({}))("/health", Host=host).status == 200


def test_a_foreign_page_cannot_ask(serving):
    service = make_service({"leave": CITED})
    client = serving(service)
    body = {"messages": [{"role": "user", "content": "leave"}]}
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example", "http://[::1"):
        reply = client("/v1/chat/completions", body, Origin=origin)
        assert reply.status == 403 and "pages of other sites" in reply.json["error"]["message"], origin
        assert "access-control-allow-origin" not in reply.headers
    assert service.answerer.model.requests == []
    assert client("/v1/chat/completions", body, Origin=f"http://127.0.0.1:{client.port}").status == 200


def test_a_server_for_others_takes_any_name(serving):
    assert serving(make_service({}, host="0.0.0.0"))("/health", Host="docs.example").status == 200


def test_a_port_in_use_is_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MachineError) as raised:
            server.run(make_service({})._replace(options=Serve(port=port)))
    assert str(raised.value) == f"Port {port} is in use. Stop what uses it, or choose another with --port."


def test_a_port_that_this_account_may_not_open_is_a_sentence(monkeypatch):
    def refused(bound, address):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(server.socket.socket, "bind", refused)
    with pytest.raises(MachineError) as raised:
        server.run(make_service({})._replace(options=Serve(port=80)))
    assert str(raised.value) == "Port 80 may not be opened by this account. Choose one above 1023 with --port."


def test_a_foreign_address_is_a_sentence():
    for host in ("no-such-host.invalid", "192.0.2.1"):
        with pytest.raises(MachineError, match="no address of this machine"):
            server.bind(Serve(host=host, port=0))


def test_the_greeting_says_who_can_ask():
    own, others = make_service({}), make_service({}, host="0.0.0.0")
    assert "http://127.0.0.1:81/" in server.greeting(own, 81) and "no password" not in server.greeting(own, 81)
    assert "http://localhost:81/" in server.greeting(others, 81) and "no password" in server.greeting(others, 81)
    assert "http://[::1]:81/" in server.greeting(make_service({}, host="::1"), 81)


def test_ctrl_c_ends_the_server_cleanly():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from serve_help import make_service; from groundling.serve.server import run\n"
        "run(make_service({})); print('after')"
    )
    process = subprocess.Popen([sys.executable, "-c", code, __file__.rsplit("/", 1)[0]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = [process.stdout.readline() for _ in range(3)]
    assert "handbook answers at http://127.0.0.1:" in lines[0] and lines[1].startswith("curl ")
    port = int(lines[0].rsplit(":", 1)[1].strip("/\n"))
    assert Client(port)("/health").status == 200
    process.send_signal(2)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "\nStopped.\nafter\n", "")
