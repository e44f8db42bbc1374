"""Mail, against a server that this test makes."""

from __future__ import annotations

import email
import email.policy
import shutil
import socketserver
import ssl
import subprocess
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mozdef_mail import Mail, is_address
from mozdef_mail.letter import letter

from mozdef_core import Alert, DeliveryError, Digest, Event, Moment, Note, Occasion, Severity, Site

openssl = shutil.which("openssl")
EVENT = Event("01", {"utctimestamp": "2026-01-02T03:04:05+00:00", "summary": "Failed <b>password</b>"})
ALERT = Alert(
    rule="bruteforce_ssh",
    summary="10 guesses by <script>alert(1)</script> & 192.0.2.1",
    first=Moment(1_767_323_045_000_000, "a"),
    last=Moment(1_767_323_105_000_000, "b"),
    severity=Severity.ERROR,
    tags=("ssh",),
    events=(EVENT,),
    details={"sourceipaddress": "192.0.2.1", "evil": "<img src=x onerror=alert(1)>"},
    url="javascript:alert(1)",
    id="0f" * 13,
)


class Handler(socketserver.StreamRequestHandler):
    """Speaks as much SMTP as a client needs; answers of the server's table go before the usual ones."""

    timeout = 20

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        server = self.server
        if server.tls_at_once:
            self.encrypt()
        self.say("220 mail.example ready")
        while line := self.rfile.readline():
            verb, _, rest = line.decode().strip().partition(" ")
            verb = verb.upper()
            server.heard.append(f"{verb} {rest}")
            answers = server.answers.get(verb, [])
            answer = answers.pop(0) if answers else None
            if answer == "hang up":
                return
            if answer is not None:
                self.say(answer)
            elif verb == "EHLO":
                offers = ["mail.example", *server.offers]
                for offer in offers[:-1]:
                    self.say(f"250-{offer}")
                self.say(f"250 {offers[-1]}")
            elif verb == "STARTTLS":
                self.say("220 go on")
                self.encrypt()
            elif verb == "AUTH":
                self.say("235 welcome")
            elif verb == "DATA":
                self.say("354 go on")
                self.take()
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")

    def take(self):
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        answers = self.server.answers.get("END", [])
        answer = answers.pop(0) if answers else "250 taken"
        if answer.startswith("250"):
            self.server.letters.append(email.message_from_bytes(b"".join(lines), policy=email.policy.SMTP))
        self.say(answer)

    def encrypt(self):
        self.connection = self.server.context.wrap_socket(self.connection, server_side=True)
        self.request = self.connection
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        self.server.heard.append("(encrypted)")

    def finish(self):
        try:
            super().finish()
            self.connection.close()
        except OSError:
            pass


class Post(socketserver.ThreadingTCPServer):
    """The fake mail server."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.heard, self.letters, self.answers = [], [], {}
        self.offers = ["8BITMIME"]
        self.tls_at_once = False
        self.context = None

    def handle_error(self, *_):
        pass


@pytest.fixture
def post():
    server = Post()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if openssl is None:
        pytest.skip("openssl is not installed")
    at = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=mail.example", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", at / "mail.key", "-out", at / "mail.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return at / "mail.pem"


def make_mail(post, **options):
    table = {
        "host": "127.0.0.1",
        "port": post.server_address[1],
        "security": "none",
        "sender": "mozdef@example.org",
        "to": ["soc@example.org"],
        **options,
    }
    return Mail(Mail.Options(**table))


def tell(mail, alert=ALERT, occasion=Occasion.RAISED, delivery="0f:1:mail"):
    return mail.alert_action(alert=alert, occasion=occasion, delivery=delivery)


def with_tls(post, certificate, *, at_once=False):
    post.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    post.context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    post.tls_at_once = at_once
    post.offers = ["AUTH PLAIN LOGIN"] if at_once else ["STARTTLS", "AUTH PLAIN LOGIN"]


def test_an_alert_arrives_as_text_and_as_html_in_which_nothing_is_markup(post):
    mail = make_mail(post)
    mail.use_site(Site(web_url="https://siem.example"))
    assert tell(mail) is None
    (message,) = post.letters
    assert message["Subject"] == "[MozDef] [ERROR] 10 guesses by <script>alert(1)</script> & 192.0.2.1"
    assert (message["From"], message["To"]) == ("mozdef@example.org", "soc@example.org")
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_body(("plain",)).get_content()
    for part in ("192.0.2.1", "rule: bruteforce_ssh", "2026-01-02 03:05:05 UTC", "Failed <b>password</b>",
                 f"page: https://siem.example/alerts/{ALERT.id}"):  # fmt: skip
        assert part in text
    html = message.get_body(("html",)).get_content()
    assert f'<a href="https://siem.example/alerts/{ALERT.id}">' in html
    for forbidden in ("<script", "<img", "<b>", 'href="javascript'):
        assert forbidden not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_the_same_delivery_has_the_same_message_id_and_another_has_another(post):
    mail = make_mail(post)
    for delivery in ("0f:1:mail", "0f:1:mail", "0f:2:mail"):
        tell(mail, delivery=delivery)
    first, again, other = (message["Message-ID"] for message in post.letters)
    assert first == again != other
    assert first.endswith("@example.org>")


def test_several_alerts_are_one_letter(post, make_event):
    other = Alert("other", "closed meanwhile", Moment(2, "c"), Moment(2, "c"), id="1f" * 13)
    notes = (Note(ALERT, Occasion.RAISED), Note(other, Occasion.CLOSED))
    digest = Digest("digest", "2 alerts: ...", Moment(1, "a"), Moment(2, "b"), notes=notes, late=True)
    tell(make_mail(post), digest)
    (message,) = post.letters
    assert message["Subject"] == "[MozDef] 2 alerts (1 ERROR, 1 NOTICE), told late"
    text = message.get_body(("plain",)).get_content()
    assert "[ERROR] 10 guesses" in text
    assert "[NOTICE] closed: closed meanwhile" in text


@pytest.mark.parametrize(
    ("channel", "to"),
    [
        ("", "soc@example.org"),
        ("#security", "soc@example.org"),
        ("oncall@example.net", "oncall@example.net"),
        ("a@example.net, b@example.net,a@example.net,#x", "a@example.net, b@example.net"),
        ("x@example.net>\r\nRCPT TO:<victim@example.net", "soc@example.org"),
    ],
)
def test_the_channel_may_name_addresses(post, channel, to):
    alert = Alert("r", "s", Moment(1, "a"), Moment(1, "a"), channel=channel, id="0f" * 13)
    tell(make_mail(post), alert)
    assert post.letters[0]["To"] == to
    recipients = [line for line in post.heard if line.startswith("RCPT")]
    assert recipients == [f"RCPT TO:<{address}>" for address in to.split(", ")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(summary=st.text(), prefix=st.text(max_size=60), value=st.text(), name=st.text(), delivery=st.text())
def test_whatever_an_alert_says_the_headers_are_ours(summary, prefix, value, name, delivery):
    alert = Alert(
        "r", summary, Moment(1, "a"), Moment(1, "a"), details={name: value}, tags=(value,), url=value
    )
    message = letter(
        alert,
        Occasion.RAISED,
        [(Note(alert, Occasion.RAISED), "")],
        sender="mozdef@example.org",
        to=["soc@example.org"],
        prefix=prefix,
        delivery=delivery,
    )
    read = email.message_from_bytes(bytes(message), policy=email.policy.SMTP)
    assert sorted(read.keys()) == sorted(
        ["Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"]
    )
    assert read["To"] == "soc@example.org"
    assert len(read.get_payload()) == 2


def test_starttls_with_a_log_in(post, certificate, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret-of-the-test")
    with_tls(post, certificate)
    mail = make_mail(
        post, security="starttls", ca_file=certificate, user="mozdef", password="env:MAIL_PASSWORD"
    )
    tell(mail)
    verbs = [line.split()[0] for line in post.heard]
    assert verbs == ["EHLO", "STARTTLS", "(encrypted)", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]
    assert len(post.letters) == 1
    assert "s3cret" not in repr(mail.options) + repr(mail._server)


def test_tls_from_the_start(post, certificate):
    with_tls(post, certificate, at_once=True)
    tell(make_mail(post, security="tls", ca_file=certificate))
    assert post.heard[0] == "(encrypted)"
    assert len(post.letters) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_not_talked_to(post, certificate, security):
    with_tls(post, certificate, at_once=security == "tls")
    with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED") as caught:
        tell(make_mail(post, security=security))
    assert not caught.value.final
    assert not any(line.startswith(("AUTH", "MAIL")) for line in post.heard)


def test_a_server_that_no_longer_offers_encryption_is_told_nothing(post):
    with pytest.raises(DeliveryError, match="STARTTLS") as caught:
        tell(make_mail(post, security="starttls"))
    assert not caught.value.final
    assert not any(line.startswith("MAIL") for line in post.heard)


def test_a_log_in_that_is_refused_may_be_mended(post, certificate, monkeypatch):
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret-of-the-test")
    with_tls(post, certificate)
    post.answers["AUTH"] = ["535 wrong password"] * 3
    mail = make_mail(
        post, security="starttls", ca_file=certificate, user="mozdef", password="env:MAIL_PASSWORD"
    )
    with pytest.raises(DeliveryError, match="535") as caught:
        tell(mail)
    assert not caught.value.final
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA", "END"])
@pytest.mark.parametrize(("answer", "final"), [("450 come back later", False), ("550 go away", True)])
def test_a_letter_is_refused_for_now_or_for_good(post, verb, answer, final):
    post.answers[verb] = [answer]
    with pytest.raises(DeliveryError, match=answer.split(maxsplit=1)[1]) as caught:
        tell(make_mail(post))
    assert caught.value.final is final
    assert post.letters == []
    tell(make_mail(post))
    assert len(post.letters) == 1


def test_who_is_refused_among_others_stands_on_the_alert(post):
    post.answers["RCPT"] = ["550 unknown"]
    change = tell(make_mail(post, to=["gone@example.org", "soc@example.org"]))
    assert change.details == {"mail_refused": ["gone@example.org"]}
    assert len(post.letters) == 1


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "DATA"])
def test_a_server_that_hangs_up_is_asked_again(post, verb):
    post.answers[verb] = ["hang up", "hang up"]
    with pytest.raises(DeliveryError) as caught:
        tell(make_mail(post))
    assert not caught.value.final


def test_a_server_that_is_not_there_is_asked_again(post):
    with pytest.raises(DeliveryError, match="ConnectionRefusedError") as caught:
        tell(make_mail(post, port=1))
    assert not caught.value.final


def test_a_letter_that_was_taken_is_sent_however_the_conversation_ends(post):
    post.answers["QUIT"] = ["hang up"]
    assert tell(make_mail(post)) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"sender": "MozDef <mozdef@example.org>"}, "expected a mail address"),
        ({"to": ["soc@example.org\nBcc: x@example.org"]}, "expected a mail address"),
        ({"to": []}, "at least 1"),
        ({"user": "mozdef"}, "user and password belong together"),
        ({"user": "mozdef", "password": "env:MAIL_PASSWORD"}, "not sent without encryption"),
    ],
)
def test_options_that_cannot_work_are_refused_at_start(post, monkeypatch, options, expected):
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret-of-the-test")
    with pytest.raises(ValueError, match=expected):
        make_mail(post, **options)


def test_authorities_that_cannot_be_read_are_told_at_the_start(post, tmp_path):
    with pytest.raises(OSError, match="No such file"):
        make_mail(post, ca_file=tmp_path / "no.pem")


@given(st.text())
def test_an_address_holds_nothing_that_ends_a_line_or_a_command(text):
    if is_address(text):
        assert text.isascii()
        assert text.isprintable()
        assert not set(text) & set(' <>,;:"()[]\\\r\n')


def test_the_plugin_keeps_the_contract(run_contract):
    run_contract(Mail, {"host": "127.0.0.1", "sender": "m@example.org", "to": ["s@example.org"]})
