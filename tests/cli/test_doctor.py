"""The check-up: what it looks at, what it says to do, and how it exits."""

import contextlib
import datetime as dt
import ipaddress
import json
import socket
import sqlite3
import ssl
import threading

import pytest

from jobplane.cli import machine, reach
from jobplane.cli.finding import Level
from jobplane.client._context import Context
from jobplane.v1 import system_service_pb2

NOW = dt.datetime.now(dt.UTC)


def levels(out: str) -> dict[str, str]:
    return {one["check"]: one["level"] for one in json.loads(out)}


@pytest.fixture
def chosen(plane, monkeypatch):
    monkeypatch.setenv("JOBPLANE_ADDRESS", plane)


@pytest.fixture
def data(tmp_path):
    """Folder as a server would leave it."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.usefixtures("chosen")
def test_all_is_well_with_a_server_that_runs(cli):
    ran = cli("doctor", "-o", "json")
    assert ran.code == 0, ran.out
    found = levels(ran.out)
    checks = ("settings", "connection", "tls", "server", "version", "clock", "health", "access")
    assert [found[check] for check in (*checks, "watch", "kinds")] == ["ok"] * 10


@pytest.mark.usefixtures("chosen")
def test_its_lines_begin_with_how_it_stands(cli):
    lines = cli("doctor").out.splitlines()
    assert {line.split()[0] for line in lines} <= {"ok", "warn", "fail", "skip", "->"}
    assert cli("doctor", "-q").out == ""


def test_an_unreachable_server_is_69_with_what_to_do(process):
    ran = process("doctor", "--address", "127.0.0.1:1")
    assert ran.code == 69
    assert "fail  connection" in ran.out
    assert "-> start one here with: jobplane dev" in ran.out


def test_what_is_no_grpc_is_told_apart(cli):
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def answer():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer:
                        peer.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        ran = cli("doctor", "--address", f"127.0.0.1:{listener.getsockname()[1]}")
    assert ran.code == 69
    assert "that is an HTTP port" in ran.out


def test_wrong_settings_are_2(cli, tmp_path):
    (tmp_path / "contexts.json").write_text("{")
    ran = cli("doctor")
    assert (ran.code, "fail  settings" in ran.out) == (2, True)


@pytest.mark.usefixtures("chosen")
def test_open_permissions_are_told_and_mended(cli, data, tmp_path):
    (tmp_path / "contexts.json").write_text('{"contexts": {}}')
    (tmp_path / "contexts.json").chmod(0o644)
    data.chmod(0o755)
    first = levels(cli("doctor", "--data", str(data), "-o", "json").out)
    assert (first["contexts"], first["data"]) == ("warn", "warn")
    fixed = levels(cli("doctor", "--data", str(data), "--fix", "-o", "json").out)
    assert (fixed["contexts"], fixed["data"]) == ("ok", "ok")
    assert data.stat().st_mode & 0o777 == 0o700


def store(data, checks=("database", "schema", "disk")):
    found = {one.check: one for one in machine.store_findings(data, fix=False)}
    return {check: found[check].level for check in checks if check in found}


def made(data, revision):
    with contextlib.closing(sqlite3.connect(data / "jobplane.db")) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        database.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        database.commit()


def test_a_store_of_this_version_is_well(data):
    made(data, "0001")
    assert store(data)["database"] is Level.OK
    assert store(data)["schema"] in {Level.OK, Level.WARNING}


def test_a_newer_schema_is_a_failure(data):
    made(data, "9999")
    assert store(data)["schema"] is Level.FAILURE


def test_a_damaged_database_is_a_failure(data):
    made(data, "0001")
    (data / "jobplane.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    assert store(data)["database"] is Level.FAILURE


def test_a_folder_without_a_store_is_skipped(data):
    assert store(data)["database"] is Level.SKIPPED


def test_a_full_disk_is_a_failure_and_a_scarce_one_a_warning(data, monkeypatch):
    for free, level in ((1, Level.FAILURE), (10**9, Level.WARNING), (10**11, Level.OK)):
        usage = type("Usage", (), {"free": free, "total": 10**12})
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert store(data)["disk"] is level


def test_a_remote_file_system_is_a_failure(data, tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"disk / ext4 rw 0 0\nhost:/x {tmp_path} nfs4 rw 0 0\n")
    assert machine.file_system_of(data, mounts) == "nfs4"
    monkeypatch.setattr(machine, "file_system_of", lambda *_: "nfs4")
    assert store(data, ["file system"]) == {"file system": Level.FAILURE}


def test_a_proxy_in_the_way_is_a_warning(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    away, here = Context(address="plane.example:443"), Context(address="127.0.0.1:7070")
    assert [one.check for one in machine._proxy(away)] == ["proxy"]
    assert list(machine._proxy(here)) == []
    monkeypatch.setenv("no_proxy", ".example")
    assert list(machine._proxy(away)) == []


@pytest.mark.parametrize(
    ("skew_s", "doubt_s", "level"),
    [(0.5, 0.0, Level.OK), (-3.0, 0.0, Level.WARNING), (3.0, 2.5, Level.OK),
     (90.0, 1.0, Level.FAILURE), (-90.0, 1.0, Level.FAILURE)],
)  # fmt: skip
def test_a_clock_counts_as_wrong_beyond_the_doubt_of_the_reading(skew_s, doubt_s, level):
    assert reach.clock_finding(skew_s, doubt_s=doubt_s).level is level


@pytest.mark.parametrize(
    ("server", "api", "level"),
    [("1.2.9", "jobplane.v1", Level.OK), ("1.3.0", "jobplane.v1", Level.WARNING),
     ("2.0.0", "jobplane.v2", Level.FAILURE)],
)  # fmt: skip
def test_versions_are_compared_by_their_first_two_numbers(server, api, level):
    info = system_service_pb2.GetServerInfoResponse(version=server, api_versions=[api])
    assert reach.version_finding(info, mine="1.2.0").level is level


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make the certificate of this machine's loopback, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - dt.timedelta(days=1))
        .not_valid_after(NOW + dt.timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(built.public_bytes(pem))
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(pem, form, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(secret)
    return folder / "cert.pem", folder / "key.pem"


@contextlib.contextmanager
def tls_server(certificate, protocols):
    """Shake hands once, and go."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    context.set_alpn_protocols(protocols)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def shake():
            with contextlib.suppress(OSError):
                peer, _ = listener.accept()
                with context.wrap_socket(peer, server_side=True) as wrapped:
                    wrapped.recv(1)

        thread = threading.Thread(target=shake)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    thread.join(10)


def test_tls_is_looked_at_certificate_and_all(certificate, monkeypatch):
    def finding(ca_file, protocols):
        with tls_server(certificate, protocols) as address:
            [one] = reach._encryption(Context(address=address, tls=True, ca_file=ca_file))
        return one

    roots = str(certificate[0])
    assert finding(roots, ["h2"]).level is Level.OK
    assert "self" in finding("", ["h2"]).text
    assert "HTTP/2" in finding(roots, ["http/1.1"]).text
    monkeypatch.setattr(reach, "CERTIFICATE_DAYS", 365)
    assert finding(roots, ["h2"]).level is Level.WARNING


def test_clear_text_over_the_network_is_a_warning():
    [finding] = reach._encryption(Context(address="plane.example:443"))
    assert finding.level is Level.WARNING
