from __future__ import annotations

import resource
import socket
import threading

import pytest

from mozdef_core.config import Config
from mozdef_core.errors import ConfigError
from mozdef_core.services.web import server
from mozdef_core.services.web.policy import DEFAULT_POLICIES, BodyLimits
from mozdef_core.settings import Entrance, WebSettings


def config(entrances=None, **web):
    return Config(web=WebSettings(**web), entrances=entrances or {})


def test_a_port_in_use_is_said_in_one_clear_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError) as caught:
            server.run(config(listen=address), lambda: pytest.fail("it must not start"))
    assert caught.value.problems[0].startswith(
        f"web.listen: cannot listen on {address}: address already in use; "
    )


def test_an_address_of_another_machine_is_refused_too():
    with pytest.raises(ConfigError, match=r"web\.listen: cannot listen on 192\.0\.2\.1:80"):
        server.run(config(listen="192.0.2.1:80"), lambda: None)


def test_the_server_is_ready_when_it_takes_connections_and_not_before():
    said = threading.Event()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server._when_listening(config(listen=f"127.0.0.1:{listener.getsockname()[1]}"), said.set)
        assert not said.wait(0.2)
        listener.listen()
        assert said.wait(10)


def test_many_more_connections_are_held_than_there_are_threads(monkeypatch):
    limits = {"now": (1_024, 4_096)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits["now"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: limits.update(now=new))
    assert server._most_connections(32) == 2_048
    assert limits["now"] == (4_096, 4_096)
    limits["now"] = (64, 64)
    assert server._most_connections(32) == 64


@pytest.mark.parametrize(
    ("listen", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("10.0.0.1:1", False),
    ],
)
def test_only_what_listens_on_loopback_needs_no_token(listen, loopback):
    assert server.web_settings(config(listen=listen)).loopback is loopback


def test_a_site_may_change_each_entrance_and_keeps_the_other_defaults():
    settings = server.web_settings(
        config(
            {
                "nxlog": Entrance(partial_status=400),
                "cef": Entrance(open=True),
                "events": Entrance(keep_rejected=False),
            }
        )
    )
    assert settings.entrances["nxlog"].partial_status == 400
    assert (settings.entrances["cef"].open, settings.entrances["cef"].partial_status) == (True, 200)
    assert settings.entrances["events"].keep_rejected is False
    assert settings.entrances["bulk"] == DEFAULT_POLICIES["bulk"]


def test_an_open_site_opens_every_entrance():
    settings = server.web_settings(config({"nxlog": Entrance(partial_status=400)}, open=True))
    assert all(policy.open for policy in settings.entrances.values())
    assert settings.entrances["nxlog"].partial_status == 400


def test_the_rates_are_those_of_the_configuration():
    settings = server.web_settings(config({"cef": Entrance(rate_limit=7, rate_burst=9)}))
    assert (settings.entrances["cef"].rate_limit, settings.entrances["cef"].rate_burst) == (7, 9)
    assert settings.entrances["events"].rate_limit is None


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({}, False),
        ({"listen": "0.0.0.0:1"}, True),
        ({"listen": "0.0.0.0:1", "open": True}, False),
        ({"listen": "0.0.0.0:1", "tls_certificate": "c", "tls_key": "k"}, True),
        ({"listen": "0.0.0.0:1", "tls_client_ca": "a"}, True),
        ({"listen": "0.0.0.0:1", "tls_certificate": "c", "tls_key": "k", "tls_client_ca": "a"}, False),
    ],
)
def test_it_is_known_where_tokens_are_needed(given, needed):
    assert server.web_settings(config(**given)).needs_tokens is needed


def test_memory_holds_one_body_at_least():
    limits = server.body_limits(config(body_memory_bytes=10, body_timeout="3s", body_rate_bytes="1KiB"))
    assert limits == BodyLimits(2**25, 3.0, 1024, 2**25)
    assert server.body_limits(config(max_body_bytes=5)).memory_bytes == 2**28


def test_the_limits_are_those_of_the_configuration():
    limits = server.web_settings(config(max_body_bytes="1MiB", max_items=7)).limits
    assert (limits.body_bytes, limits.items) == (2**20, 7)
