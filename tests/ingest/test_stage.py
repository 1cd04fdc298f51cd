from __future__ import annotations

import os
import shutil
import tempfile
import time
import tracemalloc
from pathlib import Path

import pytest

from groundling import config, registry
from groundling.errors import InputError, TooManyFailed
from groundling.ingest import extensions, ingest
from groundling.ingest.census import census
from groundling.records import Document
from groundling.seeds import digest
from groundling.workspace import Output, read_lines

GOOD = "The assembly point is the flagpole by the lake.\n"


def test_folder_is_walked_in_order_and_counts_add_up(root, read):
    (root / "b").mkdir()
    (root / "b" / "two.md").write_text("# Two\n\nText of two.")
    (root / "a.txt").write_text(GOOD)
    (root / "copy of a.txt").write_text(GOOD)
    (root / "picture.xyz").write_bytes(b"x")
    (root / "LICENSE").write_text("x")
    (root / "bad.pdf").write_bytes(b"not a pdf")
    result = read()
    assert [d.path for d in result.documents] == ["a.txt", "b/two.md"]
    assert result.counts == {
        "in": 6, "kept": 2, "failed": {"corrupt PDF": 1},
        "dropped": {"no loader for .xyz": 1, "no loader for a name without extension": 1, "identical to another document": 1},
    }  # fmt: skip
    assert '"path":"copy of a.txt","same_as":"a.txt"' in result.lines("dropped")
    assert "bad.pdf is damaged or no PDF" in result.lines("failed")


def test_id_is_of_the_content_and_stays_on_rename(root, read):
    (root / "old name.txt").write_text(GOOD)
    before = read().documents[0]
    (root / "old name.txt").rename(root / "new name.txt")
    after = read().documents[0]
    assert before.id == after.id == digest(GOOD)
    assert (before.path, after.path) == ("old name.txt", "new name.txt")


def test_hidden_own_and_run_files_are_passed_over(root, read):
    for name in (
        ".hidden.txt",
        "~$report.docx",
        "~$x.txt",
        ".git/x.txt",
        "runs/r/1-documents/x.txt",
        "groundling.yaml",
        "questions.jsonl",
        "training.jsonl",
        "keep/runs/x.txt",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{GOOD} {name}")
    result = read()
    assert [d.path for d in result.documents] == ["keep/runs/x.txt"]
    assert result.counts["in"] == 1


def test_only_files_that_are_read_make_the_stage_stale(root, tmp_path):
    def now():
        return census(root, config.Ingest(), tmp_path / "run")

    (root / "a.txt").write_text(GOOD)
    (root / "B.MD").write_text(GOOD)
    before = now()
    for stray in (".DS_Store", "Thumbs.db", "~$a.docx", "picture.png", "LICENSE"):
        (root / stray).write_text(stray)
        assert now() == before, stray
    (root / "B.MD").write_text("edited")
    edited = now()
    (root / "a.txt").rename(root / "c.txt")
    renamed = now()
    (root / "broken.pdf").write_text("no PDF")
    assert len({before, edited, renamed, now()}) == 4


def test_a_run_folder_among_the_documents_is_not_read(root):
    (root / "a.txt").write_text(GOOD)
    (root / "out").mkdir()
    (root / "out" / "note.txt").write_text("written by a run")
    out = Output(root / "out" / "1-documents")
    ingest(root, config.Ingest(), out)
    out.close()
    assert out.kept == 1


@pytest.mark.parametrize("name", ["with space.txt", 'it\'s "quoted".txt', "работа.txt", "販売店様へ.txt", "Ünï—cödé.txt", "back\\slash.txt"])
def test_names_of_all_kinds(root, read, name):
    (root / name).write_text(GOOD)
    assert read().documents[0].path == name


def test_a_name_that_is_no_utf8_does_not_stop_the_stage(root, read):
    try:
        (root / os.fsdecode(b"caf\xe9.txt")).write_text(GOOD)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert read().documents[0].path == "caf?.txt"


def test_links_are_not_followed_out_of_the_folder(root, read, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (root / "a.txt").write_text(GOOD)
    (root / "link.txt").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside)
    (root / "gone.txt").symlink_to(root / "nowhere.txt")
    (root / "loop").symlink_to(root)
    result = read()
    assert [d.path for d in result.documents] == ["a.txt"]
    assert result.counts["dropped"] == {"link out of the folder": 2}
    assert result.counts["failed"] == {"broken link": 1}


def test_include_and_exclude(root, read):
    for name in ("a.txt", "b/a.txt", "b/c/a.txt", "b/c/draft-1.txt", "b/a.md"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{GOOD} {name}")
    assert [d.path for d in read(include=["**/*.txt"], exclude=["**/draft-*"]).documents] == ["a.txt", "b/a.txt", "b/c/a.txt"]
    assert [d.path for d in read(include=["b/*"]).documents] == ["b/a.md", "b/a.txt"]
    assert read(include=["b/*"]).counts["dropped"] == {"left out by ingest.include or ingest.exclude": 3}


def test_empty_folder_is_a_sentence(read, root):
    with pytest.raises(InputError, match=r"holds no files.*Put documents there.*\.pdf"):
        read()


def test_nothing_readable_lists_the_reasons_and_what_is_read(root, read):
    (root / "a.txt").write_bytes(b"")
    (root / "b.xyz").write_text("x")
    with pytest.raises(InputError, match=r"None of the 2 files .*1 × empty file, 1 × no loader for \.xyz.*These are read: \.docx"):
        read()


def test_too_many_failures_stop_the_stage(root, read):
    (root / "a.txt").write_text(GOOD)
    (root / "b.txt").write_bytes(b"")
    (root / "c.txt").write_bytes(b"")
    with pytest.raises(TooManyFailed, match=r"2 of 3 files failed.*2 × empty file"):
        read(max_failed=0.5)
    assert read(max_failed=0.7).counts["kept"] == 1


def test_too_large(root, read):
    (root / "a.txt").write_text(GOOD)
    (root / "large.txt").write_text("word " * 5000)
    result = read(max_file_mb=0.02)
    assert result.counts["failed"] == {"larger than max_file_mb": 1}
    assert "has 0.0 MB" in result.lines("failed")


def test_permission_denied():
    """Run as nobody where the tests run as root, which may read everything."""
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to other users
    try:
        (folder / "docs" / "closed").mkdir(parents=True)
        (folder / "docs" / "a.txt").write_text(GOOD)
        (folder / "docs" / "no.txt").write_text("closed")
        (folder / "docs" / "closed" / "x.txt").write_text("closed")
        out = Output(folder / "run" / "1-documents")
        os.chmod(folder, 0o755)
        os.chmod(folder / "docs" / "no.txt", 0)
        os.chmod(folder / "docs" / "closed", 0)
        if root := os.geteuid() == 0:
            os.seteuid(65534)
        try:
            ingest(folder / "docs", config.Ingest(max_failed=1), out)
        finally:
            if root:
                os.seteuid(0)
        assert out.counts()["kept"] == 1
        assert out.counts()["failed"] == {"permission denied": 2}
        out.close()
        os.chmod(folder / "docs" / "closed", 0o755)
    finally:
        shutil.rmtree(folder)


def test_a_hundred_megabytes_of_text(root, read):
    line = "Line of a very long log, with some – not only ASCII – text in it, and \u00e4.\n"
    with (root / "big.log").open("w", encoding="utf-8") as handle:
        for _ in range(1000):
            handle.write(line * (100_000_000 // len(line.encode()) // 1000))
    tracemalloc.start()
    start = time.monotonic()
    result = read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert result.counts["kept"] == 1
    assert time.monotonic() - start < 30
    assert peak < 1_500_000_000


@pytest.mark.parametrize("name", registry.names("loader"))
def test_every_loader_keeps_the_contract(name):
    loader = registry.load("loader", name)
    assert loader.EXTENSIONS and all(e.startswith(".") and e == e.lower() for e in loader.EXTENSIONS)
    assert callable(loader.load) and registry.summary("loader", name)
    assert all(extensions()[e] == name for e in loader.EXTENSIONS), "two loaders claim one extension"


def test_an_edited_and_a_renamed_document_keep_their_ids(root, tmp_path):
    def again(*before):
        out = Output(tmp_path / "out")
        ingest(root, config.Ingest(), out, before)
        out.close()
        return {d.path: d for d in read_lines(tmp_path / "out" / "data.jsonl", Document)}

    for name in ("a", "b", "c"):
        (root / f"{name}.txt").write_text(f"The text of {name}.\n")
    first = again()
    (root / "a.txt").write_text("The text of a, edited.\n")
    (root / "b.txt").rename(root / "z.txt")
    (root / "b.txt").write_text("A new file under an old name.\n")
    second = again(*first.values())
    assert second["a.txt"].id == first["a.txt"].id and "edited" in second["a.txt"].text
    assert second["z.txt"].id == first["b.txt"].id and second["c.txt"].id == first["c.txt"].id
    assert second["b.txt"].id == digest(second["b.txt"].text)
    (root / "d.txt").write_text("The text of a.\n")  # what a.txt once held, so its hash is taken
    third = again(*second.values())
    assert len({d.id for d in third.values()}) == 5 and third["a.txt"].id == first["a.txt"].id
    assert {path: d.id for path, d in again(*third.values()).items()} == {path: d.id for path, d in third.items()}
