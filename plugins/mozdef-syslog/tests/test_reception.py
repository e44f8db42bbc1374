"""Real sockets on loopback: what arrives, what is held back, and what the end of a connection means."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from mozdef_syslog import SyslogInput, SyslogOptions

from mozdef_core import QueueError


def test_datagrams_arrive_each_as_one_message_with_what_the_entrance_adds(receive):
    receiver = receive(udp=["127.0.0.1:0"])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in (b"<36>one\x00", b"<36>two\nlines\n", b"\n", b"<36>three"):
            sender.sendto(datagram, receiver.address("udp"))
    assert receiver.intake.until(3) == [b"<36>one", b"<36>two\nlines", b"<36>three"]
    for _, peer, fields in receiver.intake.calls:
        assert peer == "127.0.0.1"
        assert fields == {
            "category": "syslog",
            "details.eventsourceipaddress": "127.0.0.1",
            "hostname": "127.0.0.1",
        }


def test_all_framings_on_one_connection_and_a_last_line_without_end(receive, ended_cleanly):
    receiver = receive()
    with receiver.connect() as sender:
        sender.sendall(b"<13>a\n<13>b\r\n<13>c\x007 <13>d\ne<13>last")
        sender.shutdown(socket.SHUT_WR)
        assert ended_cleanly(sender)
    assert receiver.intake.messages == [b"<13>a", b"<13>b", b"<13>c", b"<13>d\ne", b"<13>last"]


def test_an_address_of_version_6_is_listened_on(receive):
    receiver = receive(tcp=["[::1]:0"])
    with socket.create_connection(receiver.address(), timeout=20) as sender:
        sender.sendall(b"<13>a\n")
        receiver.intake.until(1)
    assert receiver.intake.calls[0][1] == "::1"


def test_a_quiet_message_is_put_within_a_fraction_of_a_second(receive):
    receiver = receive()
    with receiver.connect() as sender:
        begun_s = time.monotonic()
        sender.sendall(b"<13>a\n")
        receiver.intake.until(1)
        assert time.monotonic() - begun_s < 0.5


def test_many_messages_are_put_in_batches_in_the_order_of_each_sender(receive, ended_cleanly):
    receiver = receive()

    def send(letter):
        with receiver.connect() as sender:
            sender.sendall(b"".join(b"<13>%s%d\n" % (letter, number) for number in range(20_000)))
            sender.shutdown(socket.SHUT_WR)
            assert ended_cleanly(sender)

    threads = [threading.Thread(target=send, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    messages = receiver.intake.messages
    assert len(messages) == 60_000
    for letter in (b"a", b"b", b"c"):
        mine = [message for message in messages if message[4:5] == letter]
        assert mine == [b"<13>%s%d" % (letter, number) for number in range(20_000)]
    assert max(len(raw) for raw, _, _ in receiver.intake.calls) <= 1000


def test_the_end_is_confirmed_only_when_all_is_stored(receive, ended_cleanly):
    receiver = receive()
    receiver.intake.gate.clear()
    with receiver.connect() as sender:
        sender.sendall(b"<13>a\n<13>b\n")
        sender.shutdown(socket.SHUT_WR)
        assert receiver.intake.asked.wait(20)
        sender.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sender.recv(1)
        sender.settimeout(20)
        receiver.intake.gate.set()
        assert ended_cleanly(sender)
    assert receiver.intake.messages == [b"<13>a", b"<13>b"]


def test_while_the_queue_refuses_nothing_is_lost_and_the_sender_is_held_back(receive, ended_cleanly):
    receiver = receive()
    receiver.intake.refusal = QueueError("full", retry_after_s=0.05)
    lines = [b"<13>" + b"%08d" % number + b"x" * 1000 for number in range(60_000)]
    sent, done = threading.Event(), threading.Event()

    def send():
        with receiver.connect() as sender:
            sender.sendall(b"\n".join(lines) + b"\n")
            sent.set()
            sender.shutdown(socket.SHUT_WR)
            if ended_cleanly(sender):
                done.set()

    thread = threading.Thread(target=send)
    thread.start()
    assert receiver.intake.asked.wait(20)
    assert not sent.wait(1)
    assert receiver.intake.messages == []
    receiver.intake.refusal = None
    thread.join(30)
    assert done.is_set()
    assert receiver.intake.messages == lines


def test_datagrams_that_the_kernel_had_no_room_for_are_counted(receive):
    receiver = receive(udp=["127.0.0.1:0"], tcp=[], receive_buffer_bytes=65_536)
    receiver.intake.refusal = QueueError("full", retry_after_s=0.5)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"<13>first", receiver.address("udp"))
        assert receiver.intake.asked.wait(20)
        time.sleep(0.3)  # until reading has stopped
        for _ in range(2000):
            sender.sendto(b"<13>" + b"x" * 500, receiver.address("udp"))
    receiver.intake.refusal = None
    end_s = time.monotonic() + 20
    while not receiver.intake.losses and time.monotonic() < end_s:
        time.sleep(0.05)
    receiver.stop()
    assert len(receiver.intake.messages) + sum(receiver.intake.losses.values()) == 2001
    assert "no room" in next(iter(receiver.intake.losses))


def test_at_the_stop_what_the_kernel_holds_is_put_and_connections_end_cleanly(receive, ended_cleanly):
    receiver = receive(udp=["127.0.0.1:0"])
    receiver.intake.gate.clear()
    senders = [receiver.connect() for _ in range(3)]
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    senders[0].sendall(b"<13>hold\n")
    assert receiver.intake.asked.wait(20)
    for sender in senders:
        sender.sendall(b"<13>line\n<13>rest")
    datagrams.sendto(b"<13>datagram", receiver.address("udp"))
    receiver.stop()
    assert sorted(receiver.intake.messages) == sorted(
        [b"<13>hold", b"<13>datagram"] + [b"<13>line", b"<13>rest"] * 3
    )
    for sender in [*senders, datagrams]:
        assert sender is datagrams or ended_cleanly(sender)
        sender.close()


def test_at_the_stop_with_a_queue_that_refuses_senders_see_a_reset_and_the_loss_is_counted(
    receive, monkeypatch, ended_cleanly
):
    monkeypatch.setattr("mozdef_syslog.reception._GRACE_S", 0.5)
    receiver = receive()
    receiver.intake.refusal = QueueError("full", retry_after_s=60)
    with receiver.connect() as sender:
        sender.sendall(b"<13>a\n<13>b\n")
        sender.shutdown(socket.SHUT_WR)
        assert receiver.intake.asked.wait(20)
        receiver.stop()
        assert not ended_cleanly(sender)
    assert sum(receiver.intake.losses.values()) == 2


def test_an_error_in_the_intake_ends_the_run_and_resets_the_senders(receive, ended_cleanly):
    receiver = receive()
    receiver.intake.refusal = ValueError("a bug")
    with receiver.connect() as sender:
        sender.sendall(b"<13>a\n")
        sender.shutdown(socket.SHUT_WR)
        assert not ended_cleanly(sender)
    receiver.stop()
    assert isinstance(receiver.error, ValueError)


def test_connections_over_the_limit_are_reset_and_the_others_go_on(receive):
    receiver = receive(max_connections=2)
    with receiver.connect() as one, receiver.connect() as two:
        one.sendall(b"<13>a\n")
        two.sendall(b"<13>b\n")
        receiver.intake.until(2)
        with pytest.raises(ConnectionResetError), receiver.connect() as three:
            three.recv(1)
        one.sendall(b"<13>c\n")
        assert set(receiver.intake.until(3)) == {b"<13>a", b"<13>b", b"<13>c"}


def test_a_silent_connection_is_ended_and_its_unfinished_line_is_kept(receive, ended_cleanly):
    receiver = receive(idle_timeout_s=0.1)
    with receiver.connect() as sender:
        sender.sendall(b"<13>unfinished")
        assert ended_cleanly(sender)
    assert receiver.intake.messages == [b"<13>unfinished"]


def test_a_sender_that_resets_keeps_nobody_from_being_read(receive):
    receiver = receive()
    sender = receiver.connect()
    sender.sendall(b"<13>a\n<13>unfinished")
    receiver.intake.until(1)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sender.close()
    with receiver.connect() as other:
        other.sendall(b"<13>b\n")
        assert set(receiver.intake.until(3)) == {b"<13>a", b"<13>unfinished", b"<13>b"}


def test_a_port_in_use_is_said_with_its_address_and_nothing_stays_open():
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        free.bind(("127.0.0.1", 0))
        other = free.getsockname()[1]
        free.close()
        source = SyslogInput(SyslogOptions(udp=[], tcp=[f"127.0.0.1:{other}", f"127.0.0.1:{port}"]))
        with pytest.raises(OSError, match=f"tcp 127.0.0.1:{port}: Address already in use"):
            source.bind()
        with socket.socket() as again:
            again.bind(("127.0.0.1", other))
            again.listen()


def test_it_can_be_run_again_after_it_has_ended(receive, ended_cleanly):
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    for _ in range(2):
        receiver = receive(tcp=[f"127.0.0.1:{port}"])
        with receiver.connect() as sender:
            sender.sendall(b"<13>a\n")
            sender.shutdown(socket.SHUT_WR)
            assert ended_cleanly(sender)
        receiver.stop()
        assert receiver.error is None


VICTIM = """
    import sys, threading, time
    from mozdef_core import Intake, PutResult
    from mozdef_syslog import SyslogInput, SyslogOptions

    class Slow(Intake):
        def put(self, raw, *, peer=None, sender_ids=None, fields=None):
            if raw[0] == b"<13>hang":
                print("hanging", flush=True)
                time.sleep(60)
            return PutResult([""] * len(raw), 0)

        def lost(self, count, reason): pass

    source = SyslogInput(SyslogOptions(udp=[], tcp=["127.0.0.1:0"]))
    source.bind()
    print(source.listeners[0].address.port, flush=True)
    source.run(Slow(), threading.Event())
"""


def test_a_process_that_is_killed_resets_what_it_has_not_stored(ended_cleanly):
    victim = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(VICTIM)], stdout=subprocess.PIPE, text=True
    )
    try:
        port = int(victim.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=20) as stored:
            stored.sendall(b"<13>fine\n")
            stored.shutdown(socket.SHUT_WR)
            assert ended_cleanly(stored)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as unstored:
            unstored.sendall(b"<13>hang\n")
            unstored.shutdown(socket.SHUT_WR)
            assert victim.stdout.readline() == "hanging\n"
            os.kill(victim.pid, 9)
            victim.wait(20)
            assert not ended_cleanly(unstored)
    finally:
        victim.kill()
        victim.wait(20)
        victim.stdout.close()
