"""What real clients have sent, replayed byte for byte."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

SHIPPERS = Path(
    os.environ.get("MOZDEF_TEST_SHIPPERS") or Path(__file__).resolve().parents[4] / "shared/shippers"
)


def captured(name):
    """Return the datagrams, or the stream of the connection."""
    path = SHIPPERS / "clients" / f"{name}.txt"
    if not path.exists():
        if os.environ.get("MOZDEF_REQUIRE_SERVICES") == "1":
            pytest.fail(f"{path} is missing: set MOZDEF_TEST_SHIPPERS to the folder of captures")
        pytest.skip("the captures are not here; MOZDEF_TEST_SHIPPERS names their folder")
    return [
        bytes.fromhex(text)
        for text in re.findall(r"^hex ([0-9a-f]+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def replay(receiver, name, ended_cleanly):
    kind = name.rpartition("_")[2]
    if kind == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for datagram in captured(name):
                sender.sendto(datagram, receiver.address("udp"))
    else:
        for stream in captured(name):
            with receiver.connect() as sender:
                sender.sendall(stream)
                sender.shutdown(socket.SHUT_WR)
                assert ended_cleanly(sender)
    return [receiver.input.decode(message) for message in receiver.intake.until(3)]


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_the_handler_of_the_standard_library_ends_messages_with_nul(receive, kind, ended_cleanly):
    receiver = receive(udp=["127.0.0.1:0"])
    assert replay(receiver, f"syslog_rfc3164_{kind}", ended_cleanly) == [
        {
            "program": "app",
            "processid": "77",
            "facility": 4,
            "severity": 4,
            "summary": f"login failed {number} \u4e2d user=bob",
        }
        for number in range(3)
    ]


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_the_handler_for_rfc_5424_sends_structured_data_and_a_byte_order_mark(receive, kind, ended_cleanly):
    receiver = receive(udp=["127.0.0.1:0"])
    read = replay(receiver, f"rfc5424_{kind}", ended_cleanly)
    assert [one["summary"] for one in read] == [f"login failed {number} \u4e2d" for number in range(3)]
    for one in read:
        assert one["details"] == {
            "msgid": "ID1",
            "sd": {"ex@32473": {"iut": "3"}, "u@32473": {"user": 'b"o]b\\'}},
        }
        assert (one["hostname"], one["program"], one["facility"], one["severity"]) == ("vm", "app", 1, 4)
