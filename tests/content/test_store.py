"""The content store: what it takes in is whole, and nothing outside a job's folder is read."""

import hashlib
import os
import socket
import threading
from datetime import timedelta

import pytest

from jobplane.engine.content.port import ContentError
from jobplane.engine.content.store import ContentStore


@pytest.fixture
def store(tmp_path):
    store = ContentStore(tmp_path / "content")
    store.start()
    return store


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "attempt"
    folder.mkdir()
    return folder


@pytest.fixture
def secret(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("nobody's business")
    return secret


def refused(store, path, folder):
    with pytest.raises(ContentError) as caught:
        store.take(path, inside=folder)
    assert list(store.walk()) == []
    return caught.value.reason


def test_what_is_put_can_be_read(store):
    kept = store.put(b"abc")
    assert kept.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert store.read(kept.sha256) == b"abc"


def test_a_plain_file_in_a_folder_of_folders_is_taken(store, folder):
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/c").write_bytes(b"abc")
    assert store.read(store.take(folder / "a/b/c", inside=folder).sha256) == b"abc"


def test_a_link_to_a_file_outside_is_not_followed(store, folder, secret):
    (folder / "out").symlink_to(secret)
    assert refused(store, folder / "out", folder) == "ARTIFACT_UNSAFE"


def test_a_link_to_a_file_inside_is_not_followed_either(store, folder):
    (folder / "in").write_bytes(b"abc")
    (folder / "out").symlink_to(folder / "in")
    assert refused(store, folder / "out", folder) == "ARTIFACT_UNSAFE"


def test_a_folder_that_is_a_link_leads_nowhere(store, folder, secret):
    (folder / "sub").symlink_to(secret.parent)
    assert refused(store, folder / "sub" / "secret", folder) == "ARTIFACT_UNSAFE"


def test_a_path_with_dots_leads_nowhere(store, folder, secret):
    assert refused(store, folder / ".." / secret.name, folder) == "ARTIFACT_UNSAFE"


def test_a_path_elsewhere_leads_nowhere(store, folder, secret):
    assert refused(store, secret, folder) == "ARTIFACT_UNSAFE"


def test_a_folder_with_the_same_beginning_is_elsewhere(store, folder):
    twin = folder.with_name("attempt2")
    twin.mkdir()
    (twin / "file").write_bytes(b"abc")
    assert refused(store, twin / "file", folder) == "ARTIFACT_UNSAFE"


def test_a_folder_is_no_file(store, folder):
    (folder / "sub").mkdir()
    assert refused(store, folder / "sub", folder) == "ARTIFACT_UNSAFE"


def test_a_pipe_holds_nobody_up(store, folder):
    os.mkfifo(folder / "pipe")
    assert refused(store, folder / "pipe", folder) == "ARTIFACT_UNSAFE"


def test_a_socket_is_no_file(store, folder):
    with socket.socket(socket.AF_UNIX) as server:
        handle = os.open(folder, os.O_RDONLY)
        # By a short name: the path of a socket has few bytes.
        server.bind(f"/proc/self/fd/{handle}/sock")
        os.close(handle)
        assert refused(store, folder / "sock", folder) == "ARTIFACT_UNSAFE"


def test_a_device_is_no_file(store, folder):
    device = folder / "zero"
    try:
        os.mknod(device, 0o20666, os.makedev(1, 5))
        device.open("rb").close()
    except PermissionError:
        pytest.skip("devices can't be made here; run the tests as root on a file system with them")
    assert refused(store, device, folder) == "ARTIFACT_UNSAFE"


def test_a_file_that_is_not_there_is_missing(store, folder):
    assert refused(store, folder / "none", folder) == "ARTIFACT_MISSING"


def test_a_file_swapped_again_and_again_is_never_the_secret(store, folder, secret):
    target, stop = folder / "result", threading.Event()
    target.write_bytes(b"mine")

    def swap():
        link, plain = folder / "link", folder / "plain"
        while not stop.is_set():
            link.unlink(missing_ok=True)
            link.symlink_to(secret)
            link.replace(target)
            plain.write_bytes(b"mine")
            plain.replace(target)

    swapper = threading.Thread(target=swap)
    swapper.start()
    taken = set()
    try:
        for _ in range(300):
            try:
                taken.add(store.take(target, inside=folder).sha256)
            except ContentError as error:
                assert error.reason in {"ARTIFACT_UNSAFE", "ARTIFACT_MISSING"}  # noqa: PT017  both may be
    finally:
        stop.set()
        swapper.join(10)
    assert {store.read(digest) for digest in taken} <= {b"mine"}


def test_a_file_that_grows_is_taken_as_it_was_when_it_was_opened(store, folder, monkeypatch):
    path = folder / "log"
    path.write_bytes(b"x" * 10)
    writing = store._writing

    def grow():
        with path.open("ab") as file:
            file.write(b"y" * 10)
        return writing()

    monkeypatch.setattr(store, "_writing", grow)
    # What was there when the copy began; what comes later may or may not be in it.
    assert store.take(path, inside=folder).size_bytes in {10, 20}


def test_the_same_content_is_stored_once(store):
    store.put(b"abc")
    store.put(b"abc")
    assert len(list(store.walk())) == 1


def test_half_written_files_of_an_earlier_life_are_dropped(store, tmp_path):
    leftover = tmp_path / "content/incoming/tmp123"
    leftover.write_bytes(b"half")
    ContentStore(tmp_path / "content").start()
    assert not leftover.exists()


def test_content_is_found_in_the_order_of_its_digests(store):
    digests = [store.put(bytes([number])).sha256 for number in range(50)]
    assert [found.sha256 for found in store.walk()] == sorted(digests)


def test_content_that_was_touched_since_it_was_found_stays(store):
    digest = store.put(b"abc").sha256
    os.utime(store.path_of(digest), (1, 1))
    [found] = store.walk()
    store.touch(digest)
    assert not store.remove(found)
    assert store.read(digest) == b"abc"


def test_content_that_nobody_touched_is_removed(store):
    store.put(b"abc")
    [found] = store.walk()
    assert store.remove(found)
    assert list(store.walk()) == []
    assert store.touch(found.sha256) is None


def test_a_touch_is_seen_on_the_next_walk(store):
    digest = store.put(b"abc").sha256
    os.utime(store.path_of(digest), (1, 1))
    [before] = store.walk()
    assert store.touch(digest) == 3
    [after] = store.walk()
    assert after.touched_at - before.touched_at > timedelta(days=365)


def test_content_that_was_truncated_is_stored_anew(store):
    digest = store.put(b"abc").sha256
    store.path_of(digest).write_bytes(b"a")
    store.put(b"abc")
    assert store.read(digest) == b"abc"
