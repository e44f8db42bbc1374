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


def test_a_token_may_send_so_many_events_a_second_and_no_more(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(access.time, "monotonic", lambda: now_s[0])
    made = make(rate=100, burst=2)
    made.charge("a", 200)
    with pytest.raises(RefusalError) as caught:
        made.charge("a", 50)
    assert (caught.value.status, caught.value.code) == (429, "rate-limited")
    assert caught.value.retry_after_s == pytest.approx(0.5)
    made.charge("b", 200)
    now_s[0] += 0.5
    made.charge("a", 50)
    made.charge(None, 1_000_000)


def test_a_request_larger_than_the_burst_gets_through_when_nothing_else_was_sent(monkeypatch):
    now_s = [100.0]
    monkeypatch.setattr(access.time, "monotonic", lambda: now_s[0])
    made = make(rate=100, burst=1)
    made.charge("a", 500)
    now_s[0] += 3
    with pytest.raises(RefusalError):
        made.charge("a", 1)
    now_s[0] += 2.1
    made.charge("a", 1)
