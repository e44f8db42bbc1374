from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.services.web import access
from mozdef_core.services.web.access import Access, token_of
from mozdef_core.services.web.policy import EntrancePolicy, RefusalError, WebSettings

CLOSED, OPEN = EntrancePolicy(), EntrancePolicy(open=True)


class Verifier:
    """Knows one token that may write, and one that may not; counts how often it is asked."""

    def __init__(self):
        self.asked = 0
        self.known = {"good": "shipper"}

    def __call__(self, secret, scope):
        self.asked += 1
        assert scope == "events:write"
        if secret == "reader":
            raise PermissionError(scope)
        return self.known.get(secret)


def make(*, loopback=False, rate=0, burst=1):
    return Access(WebSettings(loopback=loopback, rate_per_s=rate, burst_s=burst), Verifier())


def bearer(secret):
    return {"HTTP_AUTHORIZATION": f"Bearer {secret}"}


def refusal(made, environ, policy=CLOSED):
    with pytest.raises(RefusalError) as caught:
        made.label(environ, policy)
    return caught.value.status, caught.value.code


@pytest.mark.parametrize(
    "header",
    [
        "Bearer good",
        "bearer   good",
        "Splunk good",
        "ApiKey good",
        "Basic " + base64.b64encode(b"anyone:good").decode(),
        "ApiKey " + base64.b64encode(b"id:good").decode(),
    ],
)
def test_a_token_is_found_in_every_form_that_senders_use(header):
    assert make().label({"HTTP_AUTHORIZATION": header}, CLOSED) == "shipper"


@given(st.text(max_size=40))
def test_no_authorization_header_breaks_it(header):
    found = token_of(header)
    assert found is None or isinstance(found, str)


def test_without_a_right_token_nobody_gets_in_from_outside():
    made = make()
    assert refusal(made, {}) == (401, "unauthorized")
    assert refusal(made, bearer("bad")) == (401, "unauthorized")
    assert refusal(made, bearer("")) == (401, "unauthorized")
    assert refusal(made, bearer("reader")) == (403, "forbidden")


@pytest.mark.parametrize("secret", [None, "bad", "reader"])
def test_a_listener_on_loopback_and_an_open_entrance_need_no_token(secret):
    environ = {} if secret is None else bearer(secret)
    assert make(loopback=True).label(environ, CLOSED) is None
    assert make().label(environ, OPEN) is None
    assert make(loopback=True).label(bearer("good"), CLOSED) == "shipper"


def test_a_page_in_a_browser_needs_a_token_even_on_loopback():
    made = make(loopback=True)
    assert refusal(made, {"HTTP_ORIGIN": "http://evil.example"}) == (403, "forbidden")
    assert refusal(made, {"HTTP_ORIGIN": "null", **bearer("bad")}) == (403, "forbidden")
    assert made.label({"HTTP_ORIGIN": "http://evil.example", **bearer("good")}, CLOSED) == "shipper"


def test_a_token_is_looked_up_again_only_after_two_seconds(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(access.time, "monotonic", lambda: now_s[0])
    verify = Verifier()
    made = Access(WebSettings(loopback=False), verify)
    for _ in range(5):
        made.label(bearer("good"), CLOSED)
        refusal(made, bearer("bad"))
    assert verify.asked == 2
    verify.known.clear()
    now_s[0] += 1.9
    assert made.label(bearer("good"), CLOSED) == "shipper"
    now_s[0] += 0.2
    assert refusal(made, bearer("good")) == (401, "unauthorized")


def test_who_has_shown_a_client_certificate_needs_no_token_but_a_page_in_its_browser_does():
    verifier = Verifier()
    made = Access(WebSettings(loopback=False, client_certificates=True), verifier)
    assert made.label({}, CLOSED) == "tls"
    assert made.label(bearer("good"), CLOSED) == "shipper"
    assert refusal(made, {"HTTP_ORIGIN": "http://evil.example"}) == (403, "forbidden")


@pytest.fixture
def clock(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(access.time, "monotonic", lambda: now_s[0])
    return now_s


def charged(made, label, count, *, entrance="events", policy=CLOSED, peer="192.0.2.7"):
    """Return None when it was within the rate, else the refusal."""
    try:
        made.charge(entrance, policy, label, peer, count)
    except RefusalError as error:
        return error
    return None


def test_a_token_may_send_so_many_events_a_second_and_no_more(clock):
    made = make(rate=100, burst=2)
    assert charged(made, "a", 200) is None
    error = charged(made, "a", 50)
    assert (error.status, error.code) == (429, "rate-limited")
    assert error.reason == "the token 'a' may send 100 events a second to /events, and 200 at once"
    assert error.retry_after_s == pytest.approx(0.5)
    assert charged(made, "b", 200) is None
    clock[0] += 0.5
    assert charged(made, "a", 50) is None
    assert charged(made, None, 1_000_000) is None


def test_a_request_larger_than_the_burst_gets_through_when_nothing_else_was_sent(clock):
    made = make(rate=100, burst=1)
    assert charged(made, "a", 500) is None
    clock[0] += 3
    assert charged(made, "a", 1) is not None
    clock[0] += 2.1
    assert charged(made, "a", 1) is None


def test_an_entrance_may_have_a_rate_of_its_own_which_holds_for_addresses_without_a_token_too(clock):
    made = make(rate=100)
    slow = EntrancePolicy(rate_limit=2, rate_burst=3)
    assert charged(made, None, 3, policy=slow) is None
    error = charged(made, None, 1, policy=slow)
    assert "the address 192.0.2.7 may send 2 events a second to /events, and 3 at once" in error.reason
    assert charged(made, None, 3, policy=slow, peer="192.0.2.8") is None
    assert charged(made, None, 3, policy=slow, entrance="cef") is None
    assert charged(made, "a", 3, policy=slow) is None
    assert charged(made, "a", 1, policy=slow) is not None
    assert charged(made, "a", 100) is not None  # the same bucket, whatever its size
    assert charged(made, "b", 1_000_000, policy=EntrancePolicy(rate_limit=0)) is None


def test_clients_with_a_certificate_have_each_a_rate_by_address(clock):
    made = make(rate=100)
    assert charged(made, "tls", 100) is None
    assert charged(made, "tls", 1, peer="192.0.2.8") is None
    assert "192.0.2.7" in charged(made, "tls", 1).reason


def test_what_is_remembered_of_rates_is_bounded_and_the_busy_are_not_forgotten(clock, monkeypatch):
    monkeypatch.setattr(access, "_MOST", 100)
    made = make()
    slow = EntrancePolicy(rate_limit=1, rate_burst=50)
    for number in range(1_000):
        clock[0] += 0.001
        assert (charged(made, None, 1, policy=slow, peer="busy") is None) == (number < 50), number
        charged(made, None, 1, policy=slow, peer=str(number))
    assert len(made._buckets) <= 101


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 40)), max_size=60))
def test_no_sender_gets_more_through_than_its_burst_and_its_rate(steps):
    """Within any span what was let through is at most the burst and the rate times the span, and one request."""
    with pytest.MonkeyPatch.context() as patch:
        now_s = [0.0]
        patch.setattr(access.time, "monotonic", lambda: now_s[0])
        made = make()
        policy = EntrancePolicy(rate_limit=5, rate_burst=20)
        passed = []
        for wait_s, count in steps:
            now_s[0] += wait_s
            error = charged(made, None, count, policy=policy)
            if error is None:
                passed.append((now_s[0], count))
            else:
                now_s[0] += error.retry_after_s + 1e-6  # who comes back when told to gets through
                assert charged(made, None, count, policy=policy) is None
                passed.append((now_s[0], count))
    for first, (from_s, _) in enumerate(passed):
        total = 0
        for at_s, count in passed[first:]:
            assert total <= 20 + 5 * (at_s - from_s) + 40
            total += count
