"""Programs beside an exported model, at their edges: llama.cpp's converter and server, and a hub. Stand-ins speak as they do."""

from __future__ import annotations

import http.server
import json
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundling.errors import ConfigError, MachineError, ModelError
from groundling.export import llamacpp
from groundling.export.hub import check_push, push
from groundling.export.job import Prompt
from groundling.llm.weights import Weights

from .model_world import card, exported

CONVERTER = """
import json, sys, pathlib
folder, out = sys.argv[1], sys.argv[sys.argv.index("--outfile") + 1]
template = pathlib.Path(folder, "chat_template.jinja").read_text()
if "--fail" in template: sys.exit("Traceback\\nNotImplementedError: BPE pre-tokenizer was not recognized\\n")
assert pathlib.Path(folder, "model.safetensors").is_file() and "generation %" not in template and "{% if true %}" in template
pathlib.Path(out).write_bytes(b"GGUF" + sys.argv[sys.argv.index("--outtype") + 1].encode())
"""
SERVER = """#!{python}
import http.server, json, sys
class Page(http.server.BaseHTTPRequestHandler):
    def reply(self, body):
        data = json.dumps(body).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(data))); self.end_headers(); self.wfile.write(data)
    def do_GET(self): self.reply({{}})
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert asked["temperature"] == 0 and "--jinja" in sys.argv and open(sys.argv[sys.argv.index("-m") + 1], "rb").read(4) == b"GGUF"
        self.reply({{"choices": [{{"message": {{"content": "heard: " + asked["messages"][-1]["content"]}}}}]}})
    def log_message(self, *said): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Page).serve_forever()
"""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where llama.cpp would be, and none in PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.delenv(llamacpp.VARIABLE, raising=False)
    (tmp_path / "llama.cpp" / "build" / "bin").mkdir(parents=True)
    return tmp_path / "llama.cpp"


def test_without_the_converter_there_are_two_commands_and_no_folder(made: Path, tmp_path: Path, beside: Path) -> None:
    with pytest.raises(MachineError, match=r"not in --llama-cpp") as told:
        exported(made, "gguf", tmp_path / "o", llama_cpp=str(beside))
    assert len([line for line in str(told.value).splitlines() if line.startswith("  ")]) == 2 and not (tmp_path / "o").exists()
    with pytest.raises(MachineError, match="--llama-cpp /nowhere: there is nothing"):
        exported(made, "gguf", tmp_path / "o", llama_cpp="/nowhere")


def test_a_gguf_is_unverified_where_nothing_can_ask_it_and_differs_where_it_answers_otherwise(
    mine: Path, tmp_path: Path, beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The converter and the server are stand-ins: these are programs of others, which are not on this machine."""
    (beside / llamacpp.CONVERTER).write_text(CONVERTER)
    monkeypatch.setenv(llamacpp.VARIABLE, str(beside))
    told = exported(mine, "gguf", tmp_path / "o", precision="fp16")
    assert told["files"] == ["README.md", "one.gguf"] and (tmp_path / "o" / "one.gguf").read_bytes() == b"GGUFf16"
    assert told["verdict"]["state"] == "unverified" and "llama-server is not on this machine" in card(tmp_path / "o")
    server = beside / "build" / "bin" / llamacpp.SERVER
    server.write_text(SERVER.format(python=sys.executable))
    server.chmod(server.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(ModelError, match=r'NOT verified: llama-server gave other replies .* to 5 of 5 prompts.*"heard: Question: '):
        exported(mine, "gguf", tmp_path / "o")
    assert llamacpp.asking(server, tmp_path / "o" / "one.gguf")([Prompt([{"role": "user", "content": "x"}])])[0].text == "heard: x"
    template = mine / "6-model" / "chat_template.jinja"
    script = beside / llamacpp.CONVERTER
    script.write_text(CONVERTER.replace('"--fail" in', '"user" not in'))
    before = (tmp_path / "o" / "export.json").read_bytes()
    with pytest.raises(ModelError, match="could not convert this model: NotImplementedError: BPE pre-tokenizer was not recognized"):
        exported(mine, "gguf", tmp_path / "o")
    assert (tmp_path / "o" / "export.json").read_bytes() == before and template.is_file()


def test_the_tag_of_training_is_taken_out_without_changing_a_letter(tmp_path: Path) -> None:
    from groundling.nano.model import CHAT_TEMPLATE

    from .test_model_template import TALK, rendering

    (tmp_path / "chat_template.jinja").write_text(CHAT_TEMPLATE)
    llamacpp.plain_template(tmp_path)
    plain = (tmp_path / "chat_template.jinja").read_text()
    assert "generation %}" not in plain and "{% generation" in CHAT_TEMPLATE
    assert rendering(plain)(TALK, True) == rendering(CHAT_TEMPLATE)(TALK, True)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """What the hub's own client needs to make a repository and a commit; what it sent is kept."""
    seen: list[tuple[str, str]] = []

    class Page(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            seen.append((f"{self.command} {self.path}", body))
            url = f"http://127.0.0.1:{self.server.server_address[1]}/owner/name"
            said: object = {"url": url, "commitUrl": f"{url}/commit/abc", "commitOid": "abc", "warnings": [], "errors": [], "success": True}
            status = 401 if self.headers.get("Authorization") != "Bearer secret" else 200
            if "preupload" in self.path:
                said = {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]]}
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _answer

        def log_message(self, *said: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield seen
    server.shutdown()
    server.server_close()


def test_a_push_is_one_commit_into_a_private_place_and_a_refusal_a_sentence(hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("huggingface_hub")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").write_text("---\nlicense: mit\n---\n# card\n")
    (tmp_path / "out" / "export.json").write_text("{}")
    record = {"target": "merged", "version": "0"}
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert push(tmp_path / "out", "owner/name", record).startswith("Pushed to owner/name: http://127.0.0.1:")
    created = json.loads(next(body for what, body in hub if what == "POST /api/repos/create"))
    assert created["name"] == "name" and created["organization"] == "owner" and created["visibility"] == "private"
    [commit] = [body for what, body in hub if "/commit/main" in what]
    sent = {line["value"]["path"] for line in map(json.loads, commit.splitlines()) if line["key"] == "file"}
    assert sent == {"README.md", "export.json"}
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(MachineError, match=r"is exported, but could not be pushed to owner/name: .*set HF_TOKEN"):
        push(tmp_path / "out", "owner/name", record)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MachineError, match="could not be pushed"):
        push(tmp_path / "out", "owner/name", record)


def test_a_push_that_nobody_could_use_is_refused_before_anything_is_written(made: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="needs a base that others can load"):
        exported(made, "adapter", tmp_path / "o", push="owner/name")
    with pytest.raises(ConfigError, match="write it as OWNER/NAME"):
        exported(made, "merged", tmp_path / "o", push="name")
    for name in ("a..b/c", "a/b.git", "x/..", "é/b", "a/b--c"):
        with pytest.raises(ConfigError, match="is no name on the hub: .*Write it as OWNER/NAME"):
            exported(made, "merged", tmp_path / "o", push=name)
    check_push("owner/name-1.0_b", "merged", Weights(str(tmp_path)))
    assert not (tmp_path / "o").exists()
