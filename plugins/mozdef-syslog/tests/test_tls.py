"""TLS, with certificates that the test makes."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess

import pytest
from mozdef_syslog import SyslogInput, SyslogOptions

openssl = shutil.which("openssl")
pytestmark = pytest.mark.skipif(openssl is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """Make two self-signed certificates, each its own authority: ``server`` and ``client``."""
    at = tmp_path_factory.mktemp("certificates")
    for name in ("server", "client"):
        subprocess.run(
            [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
             "-days", "2",
             "-subj", f"/CN={name}.example", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", at / f"{name}.key", "-out", at / f"{name}.pem"],
            check=True, capture_output=True,
        )  # fmt: skip
    return at


def connect(receiver, certificates, *, with_certificate=False):
    context = ssl.create_default_context(cafile=certificates / "server.pem")
    if with_certificate:
        context.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    plain = socket.create_connection(receiver.address("tls"), timeout=20)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def options(certificates, **more):
    paths = {"certificate": certificates / "server.pem", "key": certificates / "server.key"}
    return {"tcp": [], "tls": ["127.0.0.1:0"]} | paths | more


def test_messages_arrive_and_the_end_is_confirmed_when_they_are_stored(receive, certificates, ended_cleanly):
    receiver = receive(**options(certificates))
    receiver.intake.gate.clear()
    lines = [b"<13>%d " % number + b"x" * 200 for number in range(5000)]
    with connect(receiver, certificates) as sender:
        sender.sendall(b"\n".join(lines))
        socket.socket.shutdown(sender, socket.SHUT_WR)
        sender.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sender.recv(1)
        sender.settimeout(20)
        receiver.intake.gate.set()
        assert ended_cleanly(sender)
    assert receiver.intake.messages == lines


def test_a_sender_that_says_goodbye_gets_the_answer_after_all_is_stored(receive, certificates):
    receiver = receive(**options(certificates))
    with connect(receiver, certificates) as sender:
        sender.sendall(b"<13>a\n<13>last")
        sender.unwrap()
    assert receiver.intake.messages == [b"<13>a", b"<13>last"]


def test_only_senders_with_a_certificate_of_the_authority_are_heard(receive, certificates):
    receiver = receive(**options(certificates, client_ca=certificates / "client.pem"))
    with connect(receiver, certificates) as stranger:
        with contextlib.suppress(OSError):
            stranger.sendall(b"<13>stranger\n")
        with pytest.raises(OSError, match=r"(?i)certificate|reset|EOF"):
            stranger.recv(1)
    with connect(receiver, certificates, with_certificate=True) as sender:
        sender.sendall(b"<13>known\n")
        assert receiver.intake.until(1) == [b"<13>known"]


def test_a_sender_that_speaks_no_tls_is_ended_and_keeps_nobody_from_being_read(receive, certificates):
    receiver = receive(**options(certificates))
    with socket.create_connection(receiver.address("tls"), timeout=20) as plain:
        plain.sendall(b"<13>not encrypted\n")
        while True:
            try:
                if not plain.recv(100):
                    break
            except ConnectionResetError:
                break
    with connect(receiver, certificates) as sender:
        sender.sendall(b"<13>a\n")
        assert receiver.intake.until(1) == [b"<13>a"]


def test_a_certificate_that_cannot_be_used_is_named_at_the_start(certificates, tmp_path):
    for wrong in (
        {"certificate": tmp_path / "absent.pem"},
        {"certificate": certificates / "client.pem"},  # not the one of the key
        {"client_ca": tmp_path / "absent.pem"},
    ):
        name, path = next(iter(wrong.items()))
        source = SyslogInput(SyslogOptions(udp=[], **(options(certificates) | wrong)))
        with pytest.raises(OSError, match=f"{name} .*{path.name}"):
            source.bind()
