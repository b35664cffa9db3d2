import os
import socket
from pathlib import Path
from typing import Any

import pytest

from jobplane.engine.kinds.answer_run.folder import display_path, find_folder, read_folder
from jobplane.engine.kinds.answer_run.settings import AnswerSettings, Limits
from jobplane.engine.kinds.base import WorkError
from tests.kinds.answer_run.rig import ask, write_papers


@pytest.fixture
def warned() -> Any:
    return []


def read(folder: Path, warned: list[tuple[str, str]], **limits: Any) -> Any:
    warn = lambda reason, message: warned.append((reason, message))  # noqa: E731  a one-line fake
    return list(read_folder(folder, Limits(**limits), warn))


def test_files_come_sorted_by_path(tmp_path: Path, warned: list[tuple[str, str]]) -> None:
    write_papers(tmp_path, {"b.md": "b", "a/z.md": "z", "a.md": "a"})
    assert [file.path for file in read(tmp_path, warned)] == ["a.md", "a/z.md", "b.md"]


def test_hidden_files_are_left_out(tmp_path: Path, warned: list[tuple[str, str]]) -> None:
    write_papers(tmp_path, {".secret": "s", ".git/x.md": "x", "a.md": "a"})
    assert [file.path for file in read(tmp_path, warned)] == ["a.md"]
    assert warned == []


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc", "../outside.md", "a.md"])
def test_no_link_is_followed(tmp_path: Path, warned: list[tuple[str, str]], target: str) -> None:
    write_papers(tmp_path, {"outside.md": "outside", "papers/a.md": "a"})
    (tmp_path / "papers/link.md").symlink_to(target)
    assert [file.path for file in read(tmp_path / "papers", warned)] == ["a.md"]
    assert warned == [("DOCUMENT_REFUSED", "link.md is a link or a device: not read")]


def test_pipes_and_sockets_are_not_read(tmp_path: Path, warned: list[tuple[str, str]]) -> None:
    write_papers(tmp_path / "p", {"a.md": "a"})
    os.mkfifo(tmp_path / "p/pipe.md")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "p/socket.md"))
        assert [file.path for file in read(tmp_path / "p", warned)] == ["a.md"]
    assert [reason for reason, _ in warned] == ["DOCUMENT_REFUSED", "DOCUMENT_REFUSED"]


def test_a_file_above_its_limit_is_warned_of(tmp_path: Path, warned: list[tuple[str, str]]) -> None:
    write_papers(tmp_path, {"big.md": "x" * 101, "small.md": "x" * 100})
    assert [file.path for file in read(tmp_path, warned, document_bytes=100)] == ["small.md"]
    assert warned[0][0] == "DOCUMENT_TOO_LARGE"


def test_too_many_files_are_refused(tmp_path: Path, warned: list[tuple[str, str]]) -> None:
    write_papers(tmp_path, {"a.md": "", "b.md": ""})
    with pytest.raises(WorkError) as caught:
        read(tmp_path, warned, documents=1)
    assert caught.value.reason == "TOO_MANY_DOCUMENTS"


def test_too_many_bytes_are_refused(tmp_path: Path, warned: list[tuple[str, str]]) -> None:
    write_papers(tmp_path, {"a.md": "aaaa", "b.md": "bbbb"})
    with pytest.raises(WorkError) as caught:
        read(tmp_path, warned, total_bytes=6)
    assert caught.value.reason == "DOCUMENTS_TOO_LARGE"


def test_a_file_that_may_not_be_read_is_warned_of(
    tmp_path: Path, warned: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_papers(tmp_path, {"a.md": "a"})
    real = os.open

    def refusing(path: str, *arguments: Any, **named: Any) -> Any:
        if path == "a.md":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refusing)
    assert read(tmp_path, warned) == []
    assert warned == [("DOCUMENT_UNREADABLE", "a.md: Permission denied")]


def test_a_folder_is_found_under_the_first_root_that_has_it(tmp_path: Path) -> None:
    for name in ("one", "two/papers"):
        (tmp_path / name).mkdir(parents=True)
    settings = AnswerSettings(document_roots=(tmp_path / "one", tmp_path / "two"))
    assert find_folder("papers", settings) == tmp_path / "two/papers"


@pytest.mark.parametrize(
    "path", ["missing", "file.md", "../outside", "link", "link/inner", "a\x00"]
)
def test_what_is_no_folder_under_the_root_is_not_found(tmp_path: Path, path: str) -> None:
    write_papers(tmp_path, {"root/file.md": "x", "outside/inner/x.md": "x"})
    (tmp_path / "root/link").symlink_to(tmp_path / "outside")
    settings = AnswerSettings(document_roots=(tmp_path / "root",))
    assert find_folder(path, settings) is None


def test_a_folder_beside_the_root_with_its_name_in_front_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root2").mkdir()
    settings = AnswerSettings(document_roots=(tmp_path / "root",))
    assert find_folder("../root2", settings) is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb.md", "a\\nb.md"), ("\udcff.md", "\\xff.md"), ("\u202egpj.md", "\\u202egpj.md")],
)
def test_a_path_is_shown_without_what_could_deceive(name: str, shown: str) -> None:
    assert display_path(name) == shown


@pytest.mark.parametrize(
    "name",
    ["a\nb.md", "[x](javascript:alert(1)).md", "<script>alert(1)</script>.md", "`rm`.md", "é ü.md"],
)
def test_a_hostile_file_name_breaks_no_answer(tmp_path: Path, name: str) -> None:
    answered = ask(tmp_path, "Who leads the harbour office?", {name.replace("/", "_"): LEADER})
    assert "Mara Stone" in answered.body
    sources = answered.markdown.split("## Sources")[1]
    assert "<script" not in sources
    assert "](" not in sources.replace("\\]", "")
    assert len(sources.strip().split("\n")) == 2


LEADER = "# Harbour office\n\nThe harbour office is led by Mara Stone.\n"
