from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_squid.destination import read_destination


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://shop.example/a?b=c:9", "shop.example", 80),
        ("https://shop.example/a", "shop.example", 443),
        ("HTTPS://Shop.example", "Shop.example", 443),
        ("http://shop.example:8080/a", "shop.example", 8080),
        ("http://ines:pa:ss@shop.example:8080/@x", "shop.example", 8080),
        ("http://user@192.0.2.7/", "192.0.2.7", 80),
        ("https://[2001:db8::1]/x", "2001:db8::1", 443),
        ("https://[2001:db8::1]:8443/x", "2001:db8::1", 8443),
        ("http://2001:db8::c0de/x", "2001:db8::c0de", 80),
        ("ftp://files.example:2121/x", "files.example", 2121),
        ("ftp://files.example/x:70", "files.example", None),
        ("ws+x://chat.example", "chat.example", None),
        ("http://shop.example?a", "shop.example", 80),
        ("http://shop.example\\@evil.example/", "shop.example", 80),
        ("http://shop.example:/x", "shop.example", 80),
        ("http://shop.example:x/y", "shop.example", None),
        ("http://shop.example:99999/", "shop.example", None),
        ("http://[2001:db8::zz]/", None, 80),
        ("http://[2001:db8::1/", None, None),
        ("http:///path", None, 80),
        ("http://a b/", None, 80),
        ("shop.example:443", "shop.example", 443),
        ("192.0.2.7:8443", "192.0.2.7", 8443),
        ("[2001:db8::1]:443", "2001:db8::1", 443),
        ("2001:db8::1:443", "2001:db8::1", 443),
        ("localhost:25", "localhost", 25),
        ("shop.example", "shop.example", None),
        ("error:invalid-request", None, None),
        ("error:transaction-end-before-headers", None, None),
        ("urn:isbn:x", None, None),
        ("*", None, None),
        ("-", None, None),
        ("", None, None),
        (":443", None, 443),
    ],
)
def test_host_and_port_of_a_url(url, host, port):
    assert read_destination(url) == (host, port)


NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}\.)[a-z]{2,8}", fullmatch=True) | st.ip_addresses(v=4).map(
    str
)


@given(
    scheme=st.sampled_from(["http://", "https://", "ftp://", ""]),
    user=st.sampled_from(["", "ines@", "ines:p@"]),
    host=NAMES | st.ip_addresses(v=6).map(str),
    port=st.integers(0, 65_535),
    path=st.sampled_from(["", "/", "/a:1/b@c", "?q=1:2", "#f"]),
)
def test_any_host_and_port_are_found(scheme, user, host, port, path):
    written = f"[{host}]" if ":" in host else host
    if not scheme:
        user = path = ""
    assert read_destination(f"{scheme}{user}{written}:{port}{path}") == (host, port)


@given(st.text() | st.text(alphabet="[]:/@.a1-? h\\"))
def test_no_text_makes_it_raise(text):
    host, port = read_destination(text)
    assert host is None or host in text
    assert port is None or 0 <= port <= 65_535
