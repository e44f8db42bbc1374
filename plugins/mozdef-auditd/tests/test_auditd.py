from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mozdef_auditd import Auditd
from mozdef_auditd.records import command_line, read_group
from mozdef_auditd.shape import Shaped, correct

from mozdef_core.testing_contracts.trial import Trial

AT = "msg=audit(1700000000.538:4711):"
EXECVE = [
    f"node=web1.lab.example type=SYSCALL {AT} arch=c000003e syscall=59 success=yes exit=0 a0=55d0 a1=55d1 a2=55d2 a3=8 "
    "items=2 ppid=555 pid=598 auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts1 ses=3 "
    'comm="strace" exe="/usr/bin/strace" subj=unconfined key="exec"\x1dARCH=x86_64 SYSCALL=execve AUID="ines" UID="root"',
    f'node=web1.lab.example type=EXECVE {AT} argc=4 a0="strace" a1="-o" a2=2F746D702F6120622E747874 a3="ls"',
    f'node=web1.lab.example type=CWD {AT} cwd="/root"',
    f'node=web1.lab.example type=PATH {AT} item=0 name="/usr/bin/strace" inode=131 dev=08:01 mode=0100755 ouid=0 ogid=0 '
    'rdev=00:00 nametype=NORMAL cap_fp=0\x1dOUID="root" OGID="root"',
    f'node=web1.lab.example type=PATH {AT} item=1 name="/lib64/ld-linux-x86-64.so.2" inode=99 dev=08:01 nametype=NORMAL',
    f"node=web1.lab.example type=PROCTITLE {AT} proctitle=737472616365002D6F",
]
WRITE = [
    f"type=SYSCALL {AT} arch=c00000b7 syscall=56 success=no exit=-13 a0=ffffff9c a1=aa a2=241 a3=1b6 items=2 ppid=1 "
    'pid=77 auid=4294967295 uid=33 gid=33 tty=(none) ses=4294967295 comm="tee" exe="/usr/bin/tee" key="audit"',
    f'type=CWD {AT} cwd="/srv"',
    f'type=PATH {AT} item=0 name="/etc/" inode=2 dev=08:02 nametype=PARENT',
    f'type=PATH {AT} item=1 name="/etc/motd" inode=3 dev=08:02 nametype=CREATE',
]
PROMISCUOUS = (
    f"type=ANOM_PROMISCUOUS {AT} dev=eth0 prom=256 old_prom=0 auid=4294967295 uid=0 gid=0 ses=4294967295"
    '\x1dAUID="unset" UID="root" GID="root"'
)
LOGIN = (
    f"type=USER_LOGIN {AT} pid=900 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct=\"o'brien\" "
    'exe="/usr/sbin/sshd" hostname=? addr=203.0.113.9 terminal=sshd res=failed\'\x1dUID="root" AUID="unset"'
)
AUDISP = {
    "category": "execve",
    "summary": "Execve: ssh -oProxyCommand=x host",
    "severity": "INFO",
    "hostname": "sftp1.lab.example",
    "processid": 0,
    "processname": "audisp-json",
    "timestamp": "2026-01-02T03:04:00+00:00",
    "tags": ["audisp-json", "2.2.2", "audit"],
    "details": {
        "auditserial": "2939",
        "auditkey": "exec",
        "command": "ssh -oProxyCommand=x host",
        "process": "/usr/bin/ssh",
        "processname": "ssh",
        "parentprocess": "/usr/bin/sftp",
        "originaluser": "ines",
        "user": "root",
        "cwd": "/home/ines",
        "auid": "4294967295",
        "ses": "4294967295",
        "ouid": "(null)",
        "gid": "0,10",
        "mode": "(null)",
        "dhost": "sftp2.lab.example",
    },
}


def one(make_host, document, **origin):
    (event,) = make_host(Auditd).process(document, **origin).events
    return event


def shaped(*lines):
    group = read_group(" ".join(lines))
    assert group is not None
    return Shaped(group)


def test_an_event_of_the_json_plugin_keeps_its_shape_and_its_ids_are_put_right(make_host):
    event = one(make_host, AUDISP)
    expected = {
        **AUDISP["details"],
        "auid": "-1",
        "ses": "-1",
        "ouid": -1,
        "gidstring": "0,10",
    }
    del expected["gid"], expected["dhost"]
    assert event.get("details") == expected
    assert event.get("hostname") == "sftp2.lab.example"
    names = ("type", "category", "processname", "summary", "tags", "timestamp")
    assert {name: event.get(name) for name in names} == {
        "type": "auditd",
        "category": "execve",
        "processname": "audisp-json",
        "summary": AUDISP["summary"],
        "tags": AUDISP["tags"],
        "timestamp": "2026-01-02T03:04:00.000000+00:00",
    }
    assert event.get("mozdef.plugins") == ["auditd"]
    assert event.get("mozdef.problems") == []


@pytest.mark.parametrize(
    ("details", "corrected"),
    [
        ({"auid": 4_294_967_295, "ses": 4_294_967_295}, {"auid": -1, "ses": -1}),
        ({"auid": "1000", "ses": "7"}, {"auid": "1000", "ses": "7"}),
        ({"pid": "4294967295", "id": "4294967295"}, {"pid": "4294967295", "id": "4294967295"}),
        ({"fsuid": "(null)", "tty": "(null)"}, {"fsuid": -1, "tty": "(null)"}),
        ({"gid": 10}, {"gid": 10}),
        ({"gid": None, "auid": True}, {"gid": None, "auid": True}),
        ({"gid": ["1,2"]}, {"gid": ["1,2"]}),
        ({"gid": "wheel,adm"}, {"gidstring": "wheel,adm"}),
    ],
)
def test_ids_that_are_none_are_put_right_and_nothing_else(details, corrected):
    correct(details)
    assert details == corrected


def test_records_of_one_serial_become_one_event_in_the_same_shape(make_host):
    event = one(make_host, {"message": "\n".join(EXECVE), "program": "audispd"})
    found = {
        "auditserial": "4711",
        "auditkey": "exec",
        "command": "strace -o /tmp/a b.txt ls",
        "process": "/usr/bin/strace",
        "processname": "strace",
        "cwd": "/root",
        "path": "/usr/bin/strace",
        "paths": ["/usr/bin/strace", "/lib64/ld-linux-x86-64.so.2"],
        "dev": "08:01",
        "inode": "131",
        "tty": "pts1",
        "user": "root",
        "duser": "root",
        "uid": "0",
        "originaluser": "ines",
        "suser": "ines",
        "auid": "1000",
        "gid": "0",
        "ses": "3",
        "success": True,
    }
    assert {name: event.get(f"details.{name}") for name in found} == found
    names = ("type", "category", "processname", "summary", "hostname", "utctimestamp")
    assert {name: event.get(name) for name in names} == {
        "type": "auditd",
        "category": "execve",
        "processname": "audisp-json",
        "summary": "Execve: strace -o /tmp/a b.txt ls",
        "hostname": "web1.lab.example",
        "utctimestamp": "2023-11-14T22:13:20.538000+00:00",
    }


def test_the_order_of_the_records_does_not_matter():
    assert shaped(*EXECVE).details == shaped(*reversed(EXECVE)).details


def test_a_refused_write_names_what_was_to_be_written_and_numbers_where_names_are_unknown(make_host):
    event = one(make_host, {"message": " ".join(WRITE), "category": "auditd"})
    assert event.get("category") == "write"
    assert event.get("summary") == "Write: /etc/motd"
    names = ("path", "auditkey", "processname", "originaluser", "user", "auid", "ses", "success", "inode")
    assert {name: event.get(f"details.{name}") for name in names} == {
        "path": "/etc/motd",
        "auditkey": "audit",
        "processname": "tee",
        "originaluser": "-1",
        "user": "33",
        "auid": "-1",
        "ses": "-1",
        "success": False,
        "inode": "3",
    }


@pytest.mark.parametrize(
    ("line", "category", "summary"),
    [
        (PROMISCUOUS, "promiscuous", "Promiscuous: eth0 set promiscuous on"),
        (
            PROMISCUOUS.replace("prom=256 old", "prom=0 old"),
            "promiscuous",
            "Promiscuous: eth0 set promiscuous off",
        ),
        (
            f'type=SYSCALL {AT} arch=c000003e syscall=101 comm="gdb" exe="/usr/bin/gdb"',
            "ptrace",
            "Ptrace: /usr/bin/gdb",
        ),
        (
            f"type=SYSCALL {AT} arch=40000003 syscall=15 items=1 type=PATH {AT} name=2F612062",
            "attribute",
            "Attribute: /a b",
        ),
        (f'type=SYSCALL {AT} arch=c000003e syscall=257 a2=80000 exe="/bin/cat"', "read", "Read: /bin/cat"),
        (f'type=SYSCALL {AT} arch=c000003e syscall=2 a1=2 exe="/bin/ed"', "write", "Write: /bin/ed"),
        (f'type=SYSCALL {AT} arch=ff syscall=9\ufffdSYSCALL=unlinkat UID="x"', "write", "Write: unknown"),
        (f"type=SYSCALL {AT} arch=c000003e syscall=42", "syscall", None),
        (f'type=EXECVE {AT} argc=1 a0="id"', "execve", "Execve: id"),
        (
            f"type=AVC {AT} avc:  denied {{ read }} for pid=1 type=SYSCALL {AT} arch=c000003e syscall=2",
            "avc",
            None,
        ),
        (f'type=CWD {AT} cwd="/"', "cwd", None),
        (f"type=UNKNOWN[1334] {AT} prog-id=7", "unknown[1334]", None),
        (LOGIN, "user_login", None),
    ],
)
def test_the_category_says_what_was_done(line, category, summary):
    found = shaped(line)
    assert (found.category, found.summary) == (category, summary)


def test_what_a_program_reports_is_read_too(make_host):
    event = one(make_host, {"message": LOGIN, "path": "/var/log/audit/audit.log"})
    names = (
        "username",
        "process",
        "sourceipaddress",
        "tty",
        "success",
        "originaluser",
        "user",
        "op",
        "remotehost",
    )
    assert {name: event.get(f"details.{name}") for name in names} == {
        "username": "o'brien",
        "process": "/usr/sbin/sshd",
        "sourceipaddress": "203.0.113.9",
        "tty": "sshd",
        "success": False,
        "originaluser": "unset",
        "user": "root",
        "op": "login",
        "remotehost": None,
    }
    assert event.get("category") == "user_login"
    assert event.get("summary").startswith("type=USER_LOGIN")


@pytest.mark.parametrize(
    "sent",
    [
        {"processname": "audisp-json"},
        {"tags": ["x", "audisp-json"]},
        {"tags": ["auditd"]},
        {"category": "AUDITD"},
        {"program": "audispd"},
        {"processname": "/sbin/auditd"},
        {"path": "/var/log/audit/audit.log"},
    ],
)
def test_it_is_known_by_any_of_its_marks(sent, make_host):
    event = one(make_host, {"message": PROMISCUOUS, **sent})
    assert (event.get("type"), event.get("details.dev")) == ("auditd", "eth0")
    assert event.get("details.originaluser") == "unset"


def test_a_site_can_name_its_own_programs_and_files(make_host):
    host = make_host((Auditd, {"programs": ["tag_audit"], "paths": ["/srv/audit.log"]}))
    sent = [{"program": "tag_audit"}, {"path": "/srv/audit.log"}, {"path": "/var/log/audit/audit.log"}]
    done = host.process(*({"message": PROMISCUOUS, **one} for one in sent))
    assert [event.get("type") for event in done.events] == ["auditd", "auditd", "event"]


def test_other_messages_of_the_daemon_keep_their_text_and_get_a_category(make_host):
    event = one(make_host, {"program": "auditd", "message": "Audit daemon rotating log files"})
    assert (event.get("type"), event.get("category")) == ("auditd", "auditd")
    assert event.get("summary") == "Audit daemon rotating log files"
    event = one(make_host, {"program": "auditd", "category": "syslog", "message": "x"})
    assert event.get("category") == "syslog"


def test_a_value_cannot_pass_for_a_record(make_host):
    forged = f'type=EXECVE {AT} argc=2 a0="echo" a1='
    inside = 'type=SYSCALL msg=audit(1.1:1): arch=c000003e syscall=59 AUID="root"'
    group = read_group(forged + f'"{inside}"')
    assert [record.type for record in group.records] == ["EXECVE"]
    assert read_group(forged + inside.encode().hex().upper()).records[0].fields["a1"] == inside


@pytest.mark.parametrize(
    "document",
    [
        {"category": "syslog", "program": "cron", "summary": PROMISCUOUS, "details": {"username": "auditd"}},
        {"category": "execve", "summary": "Execve: ls", "details": {"auid": "4294967295", "gid": "1,2"}},
    ],
)
def test_an_event_of_another_category_is_untouched(document, make_host):
    with_it, without = one(make_host, document), make_host().process(document).events[0]
    with_it.body["mozdef"].pop("worker"), without.body["mozdef"].pop("worker")
    assert with_it.body == without.body


WORDS = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="\"'\ufffd{}"), max_size=10)


@given(
    arguments=st.lists(st.text(st.characters(exclude_categories=["C"]), max_size=20), min_size=1, max_size=12)
)
def test_any_arguments_survive_the_way_through_a_record(arguments):
    def written(text):
        plain = text.isascii() and text and not set(text) & set(' "')
        return f'"{text}"' if plain else text.encode().hex().upper()

    fields = " ".join(f"a{n}={written(text)}" for n, text in enumerate(arguments))
    group = read_group(f"type=EXECVE {AT} argc={len(arguments)} {fields}")
    assert command_line(group.records[0].fields) == " ".join(arguments)


def test_a_long_argument_comes_in_pieces():
    group = read_group(f'type=EXECVE {AT} argc=2 a0="sh" a1_len=9 a1[0]=6120 a1[1]="cdef"')
    assert command_line(group.records[0].fields) == "sh a cdef"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=8)
    | st.sampled_from(["(null)", "1,2"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)
DETAILS = st.dictionaries(st.sampled_from(["auid", "ses", "gid", "dhost", "uid", "auditserial", "x"]), JSON)
HOST = Trial([Auditd])


@given(
    details=DETAILS,
    text=st.text() | WORDS.map(lambda word: f'type=SYSCALL {AT} arch={word} syscall=59 a="{word}'),
)
def test_no_event_costs_its_mapping(details, text):
    document = {"category": "auditd", "message": text, "details": details}
    (event,) = HOST.process(json.loads(json.dumps(document))).events
    assert event.get("mozdef.plugins") == ["auditd"]
    assert not [note for note in event.get("mozdef.problems") if note["code"].startswith("plugin")]


def test_the_plugin_keeps_the_contract(run_contract, make_event):
    lines = [*EXECVE, *WRITE, PROMISCUOUS, LOGIN]
    run_contract(
        Auditd, events=[make_event(AUDISP), *(make_event(line, category="auditd") for line in lines)]
    )
