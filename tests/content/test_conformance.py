"""What every content store keeps, on a folder and on a server that speaks S3."""

import hashlib
import os
from datetime import UTC, datetime, timedelta

import pytest

from jobplane.engine.content.port import Content, ContentError, ContentPort
from jobplane.engine.content.s3 import S3ContentStore
from jobplane.engine.content.store import ContentStore

INSTALL = "uv pip install boto3 'moto[s3,server]'"
MIB = 1024 * 1024


@pytest.fixture(scope="session")
def bucket():
    """URL of a bucket of moto's server, on loopback."""
    try:
        import boto3
        from moto.server import ThreadedMotoServer
    except ModuleNotFoundError as error:
        message = f"{error.name} is missing: {INSTALL}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(
            Bucket="jobplane"
        )
        yield f"s3://jobplane?endpoint={endpoint}&region=us-east-1"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path):
    if request.param == "folder":
        made: ContentPort = ContentStore(tmp_path / "content")
    else:
        url = request.getfixturevalue("bucket")
        prefix = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
        made = S3ContentStore(url.replace("?", f"/{prefix}?"), folder=tmp_path / "scratch")
    made.start()
    return made


def old(found):
    """What was met, as if long ago."""
    return type(found)(found.sha256, found.size_bytes, found.touched_at - timedelta(days=1))


def test_what_is_put_can_be_read(store):
    kept = store.put(b"abc")
    assert kept == Content(hashlib.sha256(b"abc").hexdigest(), 3)
    assert store.read(kept.sha256) == b"abc"


def test_empty_content_is_content(store):
    kept = store.put(b"")
    assert store.read(kept.sha256) == b""
    assert store.touch(kept.sha256) == 0


def test_a_file_of_a_job_is_taken(store, tmp_path):
    (tmp_path / "made").write_bytes(b"made")
    assert store.read(store.take(tmp_path / "made", inside=tmp_path).sha256) == b"made"


def test_a_link_of_a_job_is_not_followed(store, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(ContentError) as caught:
        store.take(tmp_path / "link", inside=tmp_path)
    assert caught.value.reason == "ARTIFACT_UNSAFE"
    assert list(store.walk()) == []


def test_large_content_is_adopted_whole(store, tmp_path):
    data = os.urandom(20 * MIB)
    path = tmp_path / "landed"
    path.write_bytes(data)
    content = Content(hashlib.sha256(data).hexdigest(), len(data))
    store.adopt(path, content)
    assert not path.exists()
    assert store.read(content.sha256) == data


def test_any_range_is_read(store):
    data = os.urandom(MIB)
    reader = store.open(store.put(data).sha256)
    assert reader.size == MIB
    for offset, length in [(0, 10), (10, 100), (500_000, 7), (3, 4), (MIB - 5, 100), (MIB, 1)]:
        assert reader.read_at(offset, length) == data[offset : offset + length]
    reader.close()
    reader.close()


def test_what_is_not_here_is_not_found(store):
    with pytest.raises(FileNotFoundError):
        store.open("0" * 64)
    with pytest.raises(FileNotFoundError):
        store.read("0" * 64)
    assert store.touch("0" * 64) is None
    assert not store.path_of("0" * 64).exists()


def test_content_can_be_had_as_a_file(store):
    kept = store.put(b"abc")
    assert store.path_of(kept.sha256).read_bytes() == b"abc"
    assert store.path_of(kept.sha256).read_bytes() == b"abc"


def test_the_same_content_is_stored_once(store):
    store.put(b"abc")
    store.put(b"abc")
    assert [found.size_bytes for found in store.walk()] == [3]


def test_everything_is_met_in_order(store):
    digests = [store.put(bytes([number])).sha256 for number in range(20)]
    assert [found.sha256 for found in store.walk()] == sorted(digests)


def test_what_was_met_lately_says_so(store):
    store.put(b"abc")
    [found] = store.walk()
    assert abs(datetime.now(UTC) - found.touched_at) < timedelta(minutes=2)


def test_what_was_touched_since_it_was_met_stays(store):
    kept = store.put(b"abc")
    [found] = store.walk()
    assert not store.remove(old(found))
    assert store.read(kept.sha256) == b"abc"


def test_what_was_not_touched_is_removed_for_good(store):
    kept = store.put(b"abc")
    [found] = store.walk()
    assert store.remove(found)
    assert store.touch(kept.sha256) is None
    assert not store.path_of(kept.sha256).exists()
    assert store.remove(found)
