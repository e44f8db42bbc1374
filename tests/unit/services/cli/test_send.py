from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mozdef_core.services import sender as sender_module
from mozdef_core.services.cli.send import batches, command
from mozdef_core.services.sender import Sender, SendError


class Receiver:
    """A tiny server that keeps what it gets and answers what it is told, then 200 as ``/events`` does."""

    def __init__(self) -> None:
        self.requests: list[tuple[str | None, list[Any]]] = []
        self.answers: list[tuple[int, dict[str, str], Any] | None] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                lines = [_loaded(line) for line in body.split(b"\n")]
                receiver.requests.append((self.headers["Authorization"], lines))
                answer = receiver.answers.pop(0) if receiver.answers else _good(lines)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, document = answer
                text = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def events(self) -> list[Any]:
        return [event for _, lines in self.requests for event in lines]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return line


def _good(lines: list[Any]) -> tuple[int, dict[str, str], Any]:
    return 200, {}, {"accepted": len(lines), "rejected": 0, "ids": ["x"] * len(lines)}


BUSY: tuple[int, dict[str, str], Any] = (429, {"Retry-After": "7"}, {"errors": [{"code": "queue-full"}]})
DOWN: tuple[int, dict[str, str], Any] = (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, b"")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without waiting for them."""
    made: list[float] = []
    real = sender_module.Sender.__init__

    def init(self: Sender, *arguments: Any, **named: Any) -> None:
        real(self, *arguments, **named, sleep=made.append)

    monkeypatch.setattr(sender_module.Sender, "__init__", init)
    return made


def send(receiver: Receiver, *arguments: str, text: bytes | None = None) -> Result:
    return CliRunner().invoke(command, ["--url", receiver.url, *arguments], input=text)


def written(directory: Path, text: bytes, name: str = "events") -> str:
    path = directory / name
    path.write_bytes(text)
    return str(path)


def test_json_lines_are_sent_in_batches_and_in_order(receiver: Receiver, tmp_path: Path) -> None:
    text = b"".join(b'{"n": %d}\n' % number for number in range(7))
    result = send(receiver, "--batch", "3", written(tmp_path, text))
    assert [len(lines) for _, lines in receiver.requests] == [3, 3, 1]
    assert [event["n"] for event in receiver.events] == list(range(7))
    assert (result.exit_code, result.stdout) == (0, "7 accepted, 0 rejected, 0 known already\n")


def test_standard_input_is_read_without_files_and_blank_lines_are_nothing(receiver: Receiver) -> None:
    send(receiver, text=b'{"n": 1}\r\n\n  \n{"n": 2}')
    assert [event["n"] for event in receiver.events] == [1, 2]


def test_the_members_of_an_array_are_events(receiver: Receiver) -> None:
    result = send(receiver, text=b'[\n {"n": 1},\n {"n": 2, "note": "a\\nb"}\n]\n')
    assert [(event["n"], event.get("note")) for event in receiver.events] == [(1, None), (2, "a\nb")]
    assert result.exit_code == 0


def test_a_log_line_in_brackets_is_no_array(receiver: Receiver) -> None:
    send(receiver, text=b"[12.4] usb 1-1: new device\n[{ broken\n")
    assert [event["message"] for event in receiver.events] == ["[12.4] usb 1-1: new device", "[{ broken"]


def test_what_should_be_an_array_and_is_none_ends_the_command(receiver: Receiver, tmp_path: Path) -> None:
    result = send(receiver, "--format", "json", written(tmp_path, b'[{"n": 1},\n'))
    assert result.exit_code == 1
    assert "begins as a JSON array but is none" in result.stderr
    assert receiver.requests == []


def test_text_becomes_the_message_with_the_category(receiver: Receiver) -> None:
    send(receiver, "--format", "text", "--category", "syslog", text=b'{"n": 1}\ncaf\xff\n')
    found = [
        {name: value for name, value in event.items() if name != "event_id"} for event in receiver.events
    ]
    assert found == [
        {"message": '{"n": 1}', "category": "syslog"},
        {"message": "caf\N{REPLACEMENT CHARACTER}", "category": "syslog"},
    ]


def test_the_token_is_read_from_its_file(receiver: Receiver, tmp_path: Path) -> None:
    send(receiver, "--token-file", written(tmp_path, b"secret\n", "token"), text=b"{}")
    assert receiver.requests[0][0] == "Bearer secret"


def test_a_busy_server_is_asked_again_with_the_same_events_after_the_time_it_says(
    receiver: Receiver, pauses: list[float]
) -> None:
    receiver.answers = [BUSY, DOWN]
    result = send(receiver, "--batch", "2", text=b'{"n": 1}\n{"n": 2}\n{"n": 3}\n')
    bodies = [lines for _, lines in receiver.requests]
    assert bodies[0] == bodies[1] == bodies[2]
    assert [event["n"] for event in bodies[3]] == [3]
    assert pauses == [7, 14]
    assert "3 accepted" in result.stdout


def test_a_lost_answer_is_sent_again_with_the_same_ids(receiver: Receiver, pauses: list[float]) -> None:
    receiver.answers = [None]
    result = send(receiver, text=b'{"n": 1}\n{ }\nplain\n')
    first, second = ([event["event_id"] for event in lines] for _, lines in receiver.requests)
    assert first == second
    assert len(set(first)) == 3
    assert len(pauses) == 1
    assert result.exit_code == 0


def test_each_run_has_ids_of_its_own_unless_told_otherwise(receiver: Receiver, tmp_path: Path) -> None:
    path = written(tmp_path, b'{"n": 1}\n')
    for arguments in ([], [], ["--ids"], ["--ids"]):
        send(receiver, *arguments, path)
    one, two, three, four = (event["event_id"] for event in receiver.events)
    assert one != two
    assert three == four
    assert three.startswith(f"{path}:1:")


def test_other_lines_in_the_same_place_of_the_same_file_are_no_repeats(
    receiver: Receiver, tmp_path: Path
) -> None:
    for text in (b'{"n": 1}\n', b'{"n": 2}\n', b"one\n", b"two\n"):
        send(receiver, "--ids", written(tmp_path, text))
    assert len({event["event_id"] for event in receiver.events}) == 4


def test_an_event_keeps_an_id_of_its_own_and_its_numbers_as_written(receiver: Receiver) -> None:
    lines: list[bytes] = []
    sender = Sender(receiver.url, None, ids="run")
    lines = [sender._event(1, b' {"event_id": "mine", "n": 1.10, "big": 123456789012345678901234567890}')]
    sender.close()
    assert json.loads(lines[0])["event_id"] == "mine"
    assert b'"n": 1.10, "big": 123456789012345678901234567890}' in lines[0]


def test_refused_lines_are_listed_with_their_number_and_the_command_fails(receiver: Receiver) -> None:
    error = {"index": 1, "code": "not-an-object", "reason": "item 1 is a number"}
    document = {"accepted": 1, "rejected": 1, "duplicates": 1, "ids": ["x", None], "errors": [error]}
    for arguments in ([], ["--json"]):
        receiver.answers = [(400, {}, document)]
        result = send(receiver, "--format", "json", *arguments, text=b'{"n": 1}\n\n5\n')
        assert result.exit_code == 1
        if arguments:
            expected = {"line": 3, "code": "not-an-object", "reason": "item 1 is a number"}
            assert json.loads(result.stdout) == {
                "accepted": 1,
                "rejected": 1,
                "duplicates": 1,
                "errors": [expected],
            }
        else:
            assert "line 3: item 1 is a number" in result.stderr
            assert "1 accepted, 1 rejected, 1 known already" in result.stdout


def test_a_refused_token_ends_the_command_with_what_was_accepted_before(receiver: Receiver) -> None:
    receiver.answers = [
        _good([1]),
        (401, {}, {"errors": [{"code": "unauthorized", "reason": "a token is needed"}]}),
    ]
    result = send(receiver, "--batch", "1", text=b"{}\n{}\n{}\n")
    assert result.exit_code == 1
    assert "answered 401: a token is needed" in result.stderr
    assert "1 events were accepted before that" in result.stderr
    assert len(receiver.requests) == 2


def test_an_answer_that_is_no_json_names_the_address(receiver: Receiver) -> None:
    receiver.answers = [(200, {}, b"<html>")]
    result = send(receiver, text=b"{}\n")
    assert f"{receiver.url}/events answered 200 with something that is not JSON" in result.stderr


def test_a_server_that_is_not_there_is_given_up_after_some_tries() -> None:
    made: list[float] = []
    sender = Sender("http://127.0.0.1:9", None, sleep=made.append)
    with pytest.raises(SendError, match="is 'mozdef serve' running"):
        sender.send([(1, b"{}")])
    sender.close()
    assert made == [1, 2, 4, 8, 16]


def test_a_batch_ends_at_eight_mebibytes_and_the_bytes_read_add_up(tmp_path: Path) -> None:
    line = b"x" * (3 * 1024 * 1024)
    path = Path(written(tmp_path, (line + b"\n") * 4))
    with path.open("rb") as source:
        found = [([number for number, _ in part], size) for part, size in batches([source], "text", 500)]
    assert [numbers for numbers, _ in found] == [[1, 2, 3], [4]]
    assert sum(size for _, size in found) == path.stat().st_size
