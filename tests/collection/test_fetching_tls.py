"""Over TLS: the certificate has to be that of the name, although the connection goes to an address."""

import shutil
import ssl
import subprocess

import pytest

from collection.fault_server import PUBLIC, FaultServer, serve
from collection.fetching_kit import Network, fetch, fetch_one

OPENSSL = shutil.which("openssl")
CLIP = b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 20


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate for media.test."""
    if OPENSSL is None:
        pytest.skip("wants the program openssl to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [
            *(OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=media.test", "-addext", "subjectAltName=DNS:media.test"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture
def server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    names = []
    context.sni_callback = lambda connection, name, _: names.append(name)
    with FaultServer(ssl_context=context) as made:
        made.names = names
        made.replies["/a"] = [serve(CLIP)]
        yield made


def test_the_name_stays_in_the_handshake_and_in_the_header(server, certificate, tmp_path):
    network = Network(server)
    trusting = ssl.create_default_context(cafile=certificate / "cert.pem")
    outcome = fetch_one(tmp_path, server, "https://media.test/a", network=network, ssl_context=trusting)
    assert outcome.record["size_bytes"] == len(CLIP)
    assert network.connected == [PUBLIC]
    assert server.names == ["media.test"]
    assert server.asked("/a")[0]["host"] == "media.test"


def test_two_names_at_one_address_share_no_connection(server, certificate, tmp_path):
    trusting = ssl.create_default_context(cafile=certificate / "cert.pem")
    urls = ("https://media.test/a", "https://other.test/a")
    made = fetch(tmp_path, server, *urls, ssl_context=trusting, num_connections=1)
    assert made[urls[0]].record
    assert (made[urls[1]].reason, made[urls[1]].attempts) == ("bad_certificate", 1)


def test_a_certificate_that_nobody_vouches_for_is_refused(server, tmp_path):
    assert fetch_one(tmp_path, server, "https://media.test/a").reason == "bad_certificate"
    assert server.requests == []
