"""A bucket of content behind the S3 protocol; jobs and tables read it from files of a cache."""

import base64
import hashlib
import os
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import mkstemp
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

from jobplane.engine import failpoint
from jobplane.engine.content.files import CHUNK_BYTES, open_inside, plain_errors
from jobplane.engine.content.port import Content, ContentError, Found

# The client's methods are made at run time.
# pyright: standard

_DIGEST = re.compile(r"[0-9a-f]{64}")
# A touch writes the object's time anew; what was touched just now need not be.
TOUCHED_LATELY = timedelta(minutes=5)
# A cached file that nobody asked for during so long is dropped.
CACHE_LIFE = timedelta(days=1)
_CONNECT_S, _READ_S, _ATTEMPTS = 5, 60, 4
_MISSING = frozenset({"404", "NoSuchKey", "NotFound"})


class S3ContentStore:
    """Content in a bucket. Its URL: s3://bucket/prefix?endpoint=https://...&region=...

    Credentials come as boto3 finds them: environment, files or the machine's role. Content
    that is found unneeded by two looks of one sweep is removed; run the sweep on one server.
    """

    def __init__(self, url: str, *, folder: Path) -> None:
        parts = urlsplit(url)
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        unknown = set(options) - {"endpoint", "region"}
        if parts.scheme != "s3" or not parts.hostname or unknown:
            raise ValueError(f"{url!r} is not s3://bucket/prefix?endpoint=...&region=...")
        prefix = parts.path.strip("/")
        self._bucket = parts.hostname
        self._prefix = f"{prefix}/" if prefix else ""
        self._options = options
        self._incoming = folder / "incoming"
        self._cache = folder / "cache"
        self._lock = threading.Lock()
        self._client: Any = None
        self._errors: tuple[type[Exception], ...] = ()

    def start(self) -> None:
        """Make the folders, drop what is half-written, and see that the bucket is there."""
        # Only where it is used: the import takes longer than all the rest of a start.
        import boto3  # noqa: PLC0415
        from boto3.exceptions import Boto3Error  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        self._errors = (Boto3Error, BotoCoreError, ClientError)
        self._client = boto3.client(
            "s3",
            endpoint_url=self._options.get("endpoint"),
            region_name=self._options.get("region"),
            config=Config(
                connect_timeout=_CONNECT_S,
                read_timeout=_READ_S,
                retries={"max_attempts": _ATTEMPTS, "mode": "standard"},
            ),
        )
        for folder in (self._incoming, self._cache):
            folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._incoming.iterdir():
            leftover.unlink(missing_ok=True)
        with self._told():
            self._client.head_bucket(Bucket=self._bucket)
        self._trim()

    def put(self, data: bytes) -> Content:
        """Store bytes."""
        digest = hashlib.sha256(data)
        content = Content(digest.hexdigest(), len(data))
        if self.touch(content.sha256) != content.size_bytes:
            failpoint.reach("content_before_rename")
            with self._told():
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._key(content.sha256),
                    Body=data,
                    # The other side compares it before it says yes.
                    ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                )
            failpoint.reach("content_after_rename")
        return content

    def take(self, path: Path, *, inside: Path) -> Content:
        """Store a copy of a plain file that lies inside a folder; links are not followed."""
        with plain_errors(), open_inside(path, inside) as source, self._writing() as written:
            target, temporary = written
            digest, size = hashlib.sha256(), 0
            # A file that grows for ever must not be copied for ever.
            most = os.fstat(source.fileno()).st_size
            while chunk := source.read(min(CHUNK_BYTES, most - size)):
                digest.update(chunk)
                target.write(chunk)
                size += len(chunk)
            target.flush()
            content = Content(digest.hexdigest(), size)
            self._send(temporary, content)
            return content

    def adopt(self, path: Path, content: Content) -> None:
        """Make a file of our own, already digested, durable under its name; the file goes."""
        try:
            self._send(path, content)
        finally:
            path.unlink(missing_ok=True)

    def touch(self, sha256: str) -> int | None:
        """Size of content that is here, kept from the sweep for another grace; else None."""
        with self._lock:
            head = self._head(sha256)
            if head is None:
                return None
            if datetime.now(UTC) - head["LastModified"] > TOUCHED_LATELY:
                place = {"Bucket": self._bucket, "Key": self._key(sha256)}
                with self._told():
                    self._client.copy(place, **place, ExtraArgs={"MetadataDirective": "REPLACE"})
            size: int = head["ContentLength"]
            return size

    def open(self, sha256: str) -> "S3Reader":
        """Open content; FileNotFoundError when it is not here."""
        head = self._head(sha256)
        if head is None:
            raise FileNotFoundError(sha256)
        return S3Reader(
            self._client,
            self._bucket,
            self._key(sha256),
            size=head["ContentLength"],
            etag=head["ETag"],
            errors=self._errors,
        )

    def read(self, sha256: str) -> bytes:
        """The whole content; FileNotFoundError when it is not here."""
        reader = self.open(sha256)
        try:
            return reader.read_at(0, reader.size)
        finally:
            reader.close()

    def path_of(self, sha256: str) -> Path:
        """A file of the cache with the content; not there when the content is not."""
        path = self._cache / sha256[:2] / sha256
        head = self._head(sha256)
        if head is None:
            path.unlink(missing_ok=True)
            return path
        with suppress(FileNotFoundError):
            if path.stat().st_size == head["ContentLength"]:
                os.utime(path)
                return path
        self._fetch(sha256, path)
        return path

    def remove(self, found: Found) -> bool:
        """Delete content, unless it was touched since it was found; whether it is gone."""
        with self._lock:
            head = self._head(found.sha256)
            if head is not None:
                if head["LastModified"] != found.touched_at:
                    return False
                with self._told():
                    self._client.delete_object(Bucket=self._bucket, Key=self._key(found.sha256))
        (self._cache / found.sha256[:2] / found.sha256).unlink(missing_ok=True)
        return True

    def walk(self) -> Iterator[Found]:
        """Everything that is stored, in the order of the digests."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix
        )
        with self._told():
            for page in pages:
                for one in page.get("Contents", ()):
                    name = one["Key"].removeprefix(self._prefix)
                    if _DIGEST.fullmatch(name):
                        yield Found(name, one["Size"], one["LastModified"])

    def _key(self, sha256: str) -> str:
        return f"{self._prefix}{sha256}"

    def _head(self, sha256: str) -> dict[str, Any] | None:
        try:
            head: dict[str, Any] = self._client.head_object(
                Bucket=self._bucket, Key=self._key(sha256)
            )
        except self._errors as error:
            response: dict[str, Any] = getattr(error, "response", {})
            if response.get("Error", {}).get("Code") in _MISSING:
                return None
            raise _failed(error) from error
        return head

    def _send(self, path: Path, content: Content) -> None:
        """Upload a file in parts; it is there once it is there whole."""
        if self.touch(content.sha256) == content.size_bytes:
            return
        failpoint.reach("content_before_rename")
        with self._told():
            # Each part is held to its checksum on the way.
            self._client.upload_file(
                str(path),
                self._bucket,
                self._key(content.sha256),
                ExtraArgs={"ChecksumAlgorithm": "SHA256"},
            )
        failpoint.reach("content_after_rename")
        head = self._head(content.sha256)
        if head is None or head["ContentLength"] != content.size_bytes:
            raise ContentError(
                "CONTENT_STORE_FAILED", "what was stored is not what was sent", is_resource=True
            )

    def _fetch(self, sha256: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with plain_errors(), self._writing() as (target, temporary), self._told():
            self._client.download_fileobj(self._bucket, self._key(sha256), target)
            target.flush()
            # Before the name is given back, which then names nothing.
            temporary.replace(path)

    def _trim(self) -> None:
        """Drop cached files that nobody asked for lately."""
        before = (datetime.now(UTC) - CACHE_LIFE).timestamp()
        for path in self._cache.rglob("*"):
            with suppress(FileNotFoundError):
                if path.is_file() and path.stat().st_mtime < before:
                    path.unlink()

    @contextmanager
    def _writing(self) -> Generator[tuple[BinaryIO, Path]]:
        handle, name = mkstemp(dir=self._incoming)
        path = Path(name)
        try:
            with os.fdopen(handle, "wb") as target:
                yield target, path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def _told(self) -> Generator[None]:
        """Turn errors of the other side into our own."""
        try:
            yield
        except self._errors as error:
            raise _failed(error) from error


class S3Reader:
    """Open content of a bucket; read from front to back it is one request."""

    def __init__(
        self,
        client: Any,
        bucket: str,
        key: str,
        *,
        size: int,
        etag: str,
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._client = client
        # The body of an answer breaks off with the errors of the socket too.
        self._errors: tuple[type[Exception], ...] = (*errors, OSError)
        self._place = {"Bucket": bucket, "Key": key}
        self._body: Any = None
        self._at = 0
        self._lock = threading.Lock()
        self.size = size
        self.identity = etag

    def read_at(self, offset: int, length: int) -> bytes:
        """The bytes at an offset; fewer only where the content ends."""
        if length == 0 or offset >= self.size:
            return b""
        with self._lock:
            try:
                data: bytes = self._body_at(offset).read(length)
            except self._errors as error:
                raise _failed(error) from error
            self._at = offset + len(data)
            return data

    def close(self) -> None:
        """Let go of it; a second time changes nothing."""
        with self._lock:
            if self._body is not None:
                self._body.close()
                self._body = None

    def _body_at(self, offset: int) -> Any:
        """The answer whose next byte is the one at an offset."""
        if self._body is not None and self._at != offset:
            self._body.close()
            self._body = None
        if self._body is None:
            answer = self._client.get_object(**self._place, Range=f"bytes={offset}-")
            self._body = answer["Body"]
        return self._body


def _failed(error: Exception) -> ContentError:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ContentError("CONTENT_STORE_FAILED", text, is_resource=True)
