"""llama.cpp's own converter and its server, where they are on this machine. Nothing of them is part of groundling, and nothing is fetched."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import MachineError, ModelError
from .job import Ask, Prompt, Said
from .stock import TOKENS

CONVERTER, SERVER, VARIABLE = "convert_hf_to_gguf.py", "llama-server", "GROUNDLING_LLAMA_CPP"
_START = 180.0  # seconds that the server may take to load the model
_TAG = re.compile(r"(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})")


def places(named: str) -> list[Path]:
    """The folders where llama.cpp may be: the one that was named, that of the variable, those of PATH."""
    told = [Path(p).expanduser() for p in (named, os.environ.get(VARIABLE, "")) if p]
    told = [p.parent if p.is_file() else p for p in told]
    return [*told, *(p / "build" / "bin" for p in told), *(p / "bin" for p in told), *map(Path, os.get_exec_path())]


def _find(name: str, named: str) -> Path | None:
    return next((folder / name for folder in places(named) if (folder / name).is_file()), None)


def converter(named: str, target: str) -> Path:
    """llama.cpp's converter. Raises MachineError that says how to get it."""
    if named and not Path(named).expanduser().exists():
        raise MachineError(f"--llama-cpp {named}: there is nothing. Give the folder of llama.cpp, or its {CONVERTER}.")
    found = _find(CONVERTER, named)
    if found is None:
        raise MachineError(
            f"GGUF is written by llama.cpp's own converter ({CONVERTER}), which is not on this machine: not in --llama-cpp, ${VARIABLE} or PATH. "
            "Nothing was exported. Two commands:\n"
            f"  git clone --depth 1 https://github.com/ggml-org/llama.cpp\n  groundling export … --to {target} --llama-cpp llama.cpp"
        )
    return found


def check_tokenizer(folder: Path) -> None:
    """Raise ModelError for a tokenizer that rewrites a text by patterns before it cuts it: llama.cpp and Ollama have no such step."""
    try:
        told = json.loads((folder / "tokenizer.json").read_bytes()).get("normalizer")
    except (OSError, ValueError):
        return  # one of another make: the converter says what it thinks of it
    if any("Regex" in step.get("pattern", {}) for step in _steps(told)):
        raise ModelError(
            "The tokenizer of this model rewrites a text by patterns before it cuts it into tokens (as nano's does). llama.cpp and Ollama have no "
            "such step: they would cut prompts otherwise than in training, and the model would answer worse without a word. Use --to merged or vllm."
        )


def _steps(told: Any) -> Iterator[dict[str, Any]]:
    yield from (told or {}).get("normalizers", [told] if told else [])


def plain_template(folder: Path) -> None:
    """Training marks the assistant's text with a tag that only transformers knows. It does nothing else, so one that does nothing takes its place."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        path.write_text(_TAG.sub(lambda m: f"{m[1]}{'endif' if m[2] else 'if true'}{m[3]}", path.read_text("utf-8")), "utf-8")


def convert(script: Path, folder: Path, out: Path, kind: str) -> None:
    """Run the converter. Raises ModelError with what it said last where it fails, or leaves no GGUF."""
    command = [sys.executable, str(script), str(folder), "--outfile", str(out), "--outtype", kind]
    done = subprocess.run(command, capture_output=True, text=True)
    said = [line.strip() for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    if done.returncode:
        why = next((line for line in reversed(said) if "Error" in line), said[-1] if said else f"exit code {done.returncode}")
        hint = "Install what it needs: the requirements-convert_hf_to_gguf.txt of llama.cpp. " if "No module named" in why else ""
        raise ModelError(f"llama.cpp's converter ({script}) could not convert this model: {why.rstrip('.')}. {hint}Nothing was exported.")
    if not is_gguf(out):
        raise ModelError(f"llama.cpp's converter ({script}) ended well but left no GGUF file. Nothing was exported.")


def is_gguf(path: Path) -> bool:
    """Whether a file is there and begins as GGUF does."""
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        return handle.read(4) == b"GGUF"


def server(named: str) -> Path | None:
    """llama.cpp's server, where it is."""
    found = _find(SERVER, named)
    return found or (Path(which) if (which := shutil.which(SERVER)) else None)


def asking(binary: Path, model: Path) -> Ask:
    """Asks a GGUF through llama-server: its own tokenizer and chat template, greedy."""

    def ask(prompts: Sequence[Prompt]) -> list[Said]:
        with _running(binary, model) as url:
            return [Said(_reply(url, prompt), None) for prompt in prompts]

    return ask


@contextmanager
def _running(binary: Path, model: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(binary), "-m", str(model), "--host", "127.0.0.1", "--port", str(port), "--jinja"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, url)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + _START
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise ModelError(f"llama-server did not load the exported model{'' if process.poll() is None else f' (exit code {process.returncode})'}.")


def _reply(url: str, prompt: Prompt) -> str:
    body = {"messages": prompt.messages, "temperature": 0, "max_tokens": TOKENS, "cache_prompt": False}
    request = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        found: str = json.loads(answer.read())["choices"][0]["message"]["content"]
    return found
