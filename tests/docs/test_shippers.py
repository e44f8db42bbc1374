"""The files under contrib/shippers, each loaded by the real program, deliver everything to a real server."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.running import Service, eventually, folder, free_port, program

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "contrib/shippers"
MODULES = next(Path("/usr/lib").glob("*/rsyslog"), None)


class Shipper:
    """A real shipper that takes lines on a port and hands them on as one of the files says."""

    def __init__(self, name: str, at: Path, service: Service, modules: str = "") -> None:
        at.mkdir()
        self.port = free_port()
        own = (
            (FILES / name)
            .read_text()
            .replace("/var/spool/rsyslog", str(at))
            .replace("/etc/rsyslog.d", str(at))
        )
        own = own.replace('serverport="8080"', f'serverport="{service.port}"').replace(
            "127.0.0.1:8080", f"127.0.0.1:{service.port}"
        )
        own = re.sub(r'(port[=(]"?)5514', rf"\g<1>{service.syslog_port}", own)
        own = re.sub(r'action.resumeInterval="10"', 'action.resumeInterval="1"', own)
        self.at, self.own, self.modules = at, own, modules
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        rsyslog = "omfwd" in self.own or "omelasticsearch" in self.own
        command = self.rsyslog() if rsyslog else self.syslog_ng()
        with (self.at / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.at)
        assert eventually(self.listening), (self.at / "log").read_text()

    def rsyslog(self) -> list[str]:
        (self.at / "conf").write_text(
            f'global(workDirectory="{self.at}")\nmodule(load="imtcp")\n'
            f'input(type="imtcp" address="127.0.0.1" port="{self.port}")\n{self.own}'
        )
        modules = [f"-M{self.modules}"] if self.modules else []
        command = [program("MOZDEF_TEST_RSYSLOGD"), *modules, "-f", str(self.at / "conf")]
        checked = subprocess.run([*command, "-N1"], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
        assert "error" not in checked.stderr
        return [*command, "-n", "-i", str(self.at / "pid")]

    def syslog_ng(self) -> list[str]:
        (self.at / "conf").write_text(
            "@version: 3.38\noptions { keep-hostname(yes); stats-freq(0); time-reopen(1); };\n"
            f'source s_src {{ network(ip("127.0.0.1") transport("tcp") port({self.port})); }};\n{self.own}'
        )
        command = [program("MOZDEF_TEST_SYSLOG_NG"), "--no-caps", "-f", str(self.at / "conf")]
        checked = subprocess.run([*command, "-s"], capture_output=True, text=True, check=False, cwd=self.at)
        assert checked.returncode == 0, checked.stderr
        return [
            *command,
            "-F",
            "-R",
            str(self.at / "persist"),
            "-p",
            str(self.at / "pid"),
            "-c",
            str(self.at / "ctl"),
        ]

    def listening(self) -> bool:
        return f":{self.port:04X} 00000000:0000 0A" in Path("/proc/net/tcp").read_text()

    def send(self, first: int, count: int) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            for number in range(first, first + count):
                line = f'<38>Nov 24 02:00:00 web1 sshd[42]: session {number} opened, "quoted" \\ slash\n'
                connection.sendall(line.encode())

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)


def delivered(service: Service, count: int) -> bool:
    events = eventually(lambda: found if len(found := service.search("hostname:web1")) >= count else [], 40)
    assert sorted(event["summary"] for event in events) == sorted(
        f'session {number} opened, "quoted" \\ slash' for number in range(count)
    )
    assert {event["details"]["program"] for event in events} == {"sshd"}
    assert {event["severity"] for event in events} == {"INFO"}
    if service.search("mozdef.input.name:bulk"):  # each has an id of its own, by which a repeat is known
        assert len({event["mozdef"]["input"]["sender_id"] for event in events}) == count
    return True


@pytest.mark.parametrize(
    "name", ["rsyslog-omelasticsearch", "rsyslog-syslog", "syslog-ng-http", "syslog-ng-syslog"]
)
def test_a_shipper_delivers_everything_also_after_an_outage(name, tmp_path):
    service = Service(tmp_path / "mozdef").start()
    shipper = Shipper(f"{name}.conf", tmp_path / "shipper", service)
    try:
        shipper.start()
        shipper.send(0, 5)
        assert delivered(service, 5)
        service.stop()
        confirmed = name in ("rsyslog-omelasticsearch", "syslog-ng-http")
        if confirmed:  # syslog itself loses what it writes into a connection that has just ended
            shipper.send(5, 5)
        service.start()
        shipper.send(10 if confirmed else 5, 5)
        assert delivered(service, 15 if confirmed else 10)
    finally:
        shipper.stop()
        service.stop()


def certificates(at: Path) -> None:
    """Make an authority, and a certificate for each side."""
    run = lambda *words: subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=at)  # noqa: E731
    at.mkdir(parents=True, exist_ok=True)
    run(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "ca.key",
        "-out",
        "mozdef-ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=authority",
    )
    for name, host in (("siem1", "siem1.example"), ("this-machine", "web1.example")):
        (at / "names").write_text(f"subjectAltName=DNS:{host}\n")
        run(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={host}",
        )
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "mozdef-ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
            f"{name}.pem", "-days", "2", "-extfile", "names")  # fmt: skip


def test_rsyslog_delivers_over_tls_with_a_certificate_of_its_own(tmp_path):
    modules = folder(
        "MOZDEF_TEST_RSYSLOG_GNUTLS", MODULES if MODULES and (MODULES / "lmnsd_gtls.so").exists() else None
    )
    port = free_port()
    made = tmp_path / "certificates"
    certificates(made)
    service = Service(
        tmp_path / "mozdef",
        tables=f'tls = ["127.0.0.1:{port}"]\ncertificate = "{made}/siem1.pem"\nkey = "{made}/siem1.key"\n'
        f'client_ca = "{made}/mozdef-ca.pem"\n',
    ).start()
    shipper = Shipper("rsyslog-tls.conf", tmp_path / "shipper", service, f"{MODULES}:{modules}")
    shipper.own = shipper.own.replace(
        'target="siem1.example" port="6514"', f'target="127.0.0.1" port="{port}"'
    )
    for path in made.iterdir():
        os.link(path, shipper.at / path.name)
    try:
        shipper.start()
        shipper.send(0, 5)
        assert delivered(service, 5)
    finally:
        shipper.stop()
        service.stop()


def test_every_file_says_with_which_version_it_was_tested():
    for path in FILES.glob("*.conf"):
        text = " ".join(path.read_text().replace("#", " ").split())
        assert re.search(r"Tested with (rsyslog 8\.2302|syslog-ng 3\.38)\.", text), path.name
        assert f"`{path.name}`" in (FILES / "README.md").read_text()
