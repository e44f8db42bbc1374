"""The configuration: defaults, every problem at once, overrides from the environment, secrets."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozdef_core.config import load, read
from mozdef_core.errors import ConfigError
from mozdef_core.ports import Keep
from mozdef_core.settings import RetentionSettings, WebSettings


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mozdef.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text), environ or {})
    return caught.value.problems


def test_an_empty_file_is_a_whole_configuration(tmp_path):
    config = load(written(tmp_path, ""), {})
    assert (config.core.store, config.core.queue, config.core.scheduler) == ("tantivy", "sqlite", "local")
    assert config.data_dir == tmp_path / "var"
    assert config.database_url == f"sqlite:///{tmp_path}/var/casework.db"
    assert (config.web.host, config.web.port, config.web.loopback) == ("127.0.0.1", 8080, True)
    assert config.core.node
    assert config.retention.keep() == timedelta(days=90)
    assert config.entrance("events").keep_rejected is True


def test_without_a_file_the_defaults_hold(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load(None, {})
    assert config.path is None
    assert config.data_dir == tmp_path / "var"


def test_the_file_in_the_working_directory_is_found(tmp_path, monkeypatch):
    written(tmp_path, 'plugins = ["linux"]')
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).plugins == ("linux",)


def test_everything_that_can_be_set_is_read(tmp_path):
    config = load(
        written(
            tmp_path,
            """
            plugins = ["linux", "geoip"]
            inputs = ["syslog"]
            [core]
            store = "memory"
            data_dir = "/srv/mozdef"
            node = "siem1"
            queue_limit_bytes = "2GiB"
            sender_id_window = "30m"
            [web]
            listen = "[::]:8443"
            max_body_bytes = "1.5 MB"
            [entrance.events]
            timezone = "Europe/Berlin"
            partial_status = 200
            [input.syslog]
            udp = "127.0.0.1:5514"
            [plugin.geoip]
            database = "city.mmdb"
            [alerts]
            enabled = ["ssh_*"]
            [alerts.ssh_root]
            severity = "ERROR"
            [store.memory]
            most = 3
            [retention]
            default = "30d"
            short = "1h"
            audit = "forever"
            [retention.dead_letters]
            open = "forever"
            settled = "12h"
            limit_bytes = "2GiB"
            [health]
            failures = 3
            """,
        ),
        {},
    )
    assert config.plugins == ("linux", "geoip")
    assert config.inputs == ("syslog",)
    assert config.data_dir == Path("/srv/mozdef")
    assert config.core.queue_limit_bytes == 2 * 2**30
    assert config.core.sender_id_window == timedelta(minutes=30)
    assert (config.web.host, config.web.port, config.web.loopback) == ("::", 8443, False)
    assert config.web.max_body_bytes == 1_500_000
    assert config.entrance("events").timezone == "Europe/Berlin"
    assert config.entrance("events").partial_status == 200
    assert config.input["syslog"] == {"udp": "127.0.0.1:5514"}
    assert config.plugin["geoip"] == {"database": "city.mmdb"}
    assert config.alerts.enabled == ("ssh_*",)
    assert config.alerts.rules == {"ssh_root": {"severity": "ERROR"}}
    assert config.store["memory"] == {"most": 3}
    assert config.retention.keep() == timedelta(days=30)
    assert config.retention.keep("short") == timedelta(hours=1)
    assert config.retention.keep("audit") is None
    assert config.retention.keeping() == Keep(None, None, timedelta(hours=12), 2**31)
    assert config.health.limits().failures == 3
    assert config.health.limits().calls == {
        "on_event": 0.1,
        "enrich": 0.1,
        "alert_match": 10,
        "alert_action": 30,
    }


def test_a_retention_class_named_like_a_duration_lasts_that_long():
    assert RetentionSettings().keep("3d") == timedelta(days=3)
    assert RetentionSettings().keep("unheard-of") == timedelta(days=90)


def test_what_is_wrong_about_keeping_dead_letters_is_said(tmp_path):
    table = "retention.dead_letters"
    assert problems_of(
        tmp_path, f'[{table}]\nopen = "long"\nsettled = "0s"\nlimit_bytes = 0\nsettle = "1d"', {}
    ) == (
        f"{table}: unknown key 'settle'; did you mean 'settled'?",
        f"{table}.open: expected a duration such as '90d', or 'forever', got 'long'",
        f"{table}.settled: expected a duration such as '90d', or 'forever', got '0s'",
        f"{table}.limit_bytes: expected more than 0, got 0",
    )
    assert problems_of(tmp_path, '[retention]\ndead_letters = "3d"') == (
        f"{table}: expected a table [{table}], got text",
    )
    config = load(written(tmp_path, ""), {"MOZDEF_RETENTION__DEAD_LETTERS__OPEN": "3d"})
    assert config.retention.keeping() == Keep(timedelta(days=90), timedelta(days=3))


def test_all_problems_are_reported_at_once(tmp_path):
    problems = problems_of(
        tmp_path,
        """
        plugins = ["a", "a"]
        inputs = "syslog"
        plugin_dir = "x"
        [coer]
        store = "memory"
        [core]
        data_dri = "x"
        queue_limit_bytes = "lots"
        [web]
        listen = "8080"
        workers = "4x"
        [entrance.events]
        open = "perhaps"
        [alerts]
        enable = ["x"]
        [retention]
        default = "90 parsecs"
        [plugin]
        geoip = 3
        """,
    )
    text = "\n".join(problems)
    assert "plugins: 'a' is named 2 times; name it once" in problems
    assert 'inputs: expected a list of names such as ["linux", "geoip"], got text' in problems
    assert "unknown key 'plugin_dir'" in text
    assert "unknown table 'coer'; did you mean 'core'?" in text
    assert "core: unknown key 'data_dri'; did you mean 'data_dir'?" in problems
    assert (
        "core.queue_limit_bytes: expected a size such as 500000, '64MiB' or '10 GB', got 'lots'" in problems
    )
    assert (
        "web.listen: expected host:port such as '127.0.0.1:8080' or '[::]:8080', port 0 to 65535, got '8080'"
        in text
    )
    assert "web.workers: expected a whole number, got '4x'" in problems
    assert "entrance.events.open: expected true or false, got 'perhaps'" in problems
    assert "alerts: unknown key 'enable'; did you mean 'enabled'?" in problems
    assert "retention.default: expected a duration such as '90d', or 'forever', got '90 parsecs'" in problems
    assert "plugin.geoip: expected a table [plugin.geoip], got a number" in problems
    assert len(problems) == 12


def test_a_wrong_table_leaves_the_others_readable(tmp_path):
    config, problems = read(written(tmp_path, 'plugins=["x"]\n[web]\nworkers = 0\n[core]\nnode = "n"'), {})
    assert problems == ["web.workers: expected at least 1, got 0"]
    assert (config.plugins, config.core.node, config.web) == (("x",), "n", WebSettings())


def test_a_syntax_error_names_the_line(tmp_path):
    (problem,) = problems_of(tmp_path, "plugins = [\n'a'\n[core\n")
    assert "mozdef.toml: not valid TOML:" in problem
    assert "line 3" in problem


def test_a_missing_file_that_was_named_is_a_problem(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere.toml: cannot be read: No such file"):
        load(tmp_path / "nowhere.toml", {})


def test_a_file_that_is_not_utf_8_is_a_problem(tmp_path):
    path = tmp_path / "mozdef.toml"
    path.write_bytes(b"# \xff")
    with pytest.raises(ConfigError, match="not UTF-8 text: byte 0xff at offset 2"):
        load(path, {})


@pytest.mark.parametrize(
    "listen", ["", "localhost", "127.0.0.1:", "127.0.0.1:99999", "::1:80", "http://x:80", "[x]:80"]
)
def test_a_wrong_listen_address_is_refused(tmp_path, listen):
    (problem,) = problems_of(tmp_path, f'[web]\nlisten = "{listen}"')
    assert problem.startswith("web.listen: expected host:port")
    assert problem.endswith(f"got {listen!r}")


def test_half_a_pair_of_tls_files_and_an_unreadable_one_are_problems(tmp_path):
    problems = problems_of(tmp_path, '[web]\ntls_certificate = "cert.pem"')
    assert problems == (
        "web.tls_certificate: cannot read 'cert.pem': No such file or directory",
        "web.tls_key: required, because the other half of the pair is set",
    )


def test_a_file_of_authorities_must_be_one_and_needs_a_certificate_of_the_server(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    for name, reason in (
        ("ca.pem", "no certificate in PEM form in 'ca.pem'"),
        ("none.pem", "cannot read 'none.pem': No such file or directory"),
    ):
        assert problems_of(tmp_path, f'[web]\ntls_client_ca = "{name}"') == (
            "web.tls_client_ca: needs tls_certificate and tls_key, too",
            f"web.tls_client_ca: {reason}",
        )


def test_the_environment_overrides_the_file_with_types(tmp_path):
    config = load(
        written(
            tmp_path,
            'plugins = ["a"]\n[core]\nnode = "file"\n[plugin.geoip]\ndatabase = "old"\nlanguage = "de"',
        ),
        {
            "MOZDEF_CORE__NODE": "env",
            "MOZDEF_WEB__WORKERS": "2",
            "MOZDEF_WEB__OPEN": "true",
            "MOZDEF_PLUGINS": "linux, geoip",
            "MOZDEF_ALERTS__ENABLED": "a b",
            "MOZDEF_PLUGIN__GEOIP__DATABASE": "new.mmdb",
            "MOZDEF_RETENTION__DEFAULT": "7d",
            "MOZDEF_ENTRANCE__EVENTS__KEEP_REJECTED": "false",
            "MOZDEF_CONFIG": "elsewhere",
            "MOZDEF_SLACK_HOOK": "a variable that an option refers to",
            "HOME": "/root",
        },
    )
    assert config.core.node == "env"
    assert config.web.workers == 2
    assert config.web.open is True
    assert config.plugins == ("linux", "geoip")
    assert config.alerts.enabled == ("a", "b")
    assert config.plugin["geoip"] == {"database": "new.mmdb", "language": "de"}
    assert config.retention.keep() == timedelta(days=7)
    assert config.entrance("events").keep_rejected is False


def test_wrong_variables_are_reported_with_their_names(tmp_path):
    problems = problems_of(
        tmp_path,
        "",
        {
            "MOZDEF_COER__NODE": "x",
            "MOZDEF_CORE__NDOE": "x",
            "MOZDEF_CORE_DATA_DIR": "x",
            "MOZDEF_PLUGIN": "x",
            "MOZDEF_WEB__WORKERS": "many",
            "MOZDEF_CORE____": "x",
        },
    )
    assert "environment MOZDEF_COER__NODE: unknown table 'coer'; did you mean 'core'?" in problems
    assert "core: unknown key 'ndoe' (from MOZDEF_CORE__NDOE); did you mean 'node'?" in problems
    assert (
        "environment MOZDEF_CORE_DATA_DIR: not a setting; did you mean 'MOZDEF_CORE__DATA_DIR'?" in problems
    )
    assert "environment MOZDEF_PLUGIN: not a setting; did you mean 'MOZDEF_PLUGINS'?" in problems
    assert "web.workers: expected a whole number, got 'many' (from MOZDEF_WEB__WORKERS)" in problems
    assert "environment MOZDEF_CORE____: a name is empty; write MOZDEF_TABLE__KEY" in problems
    assert len(problems) == 6


def test_a_database_password_belongs_in_the_environment_and_is_never_shown(tmp_path):
    (problem,) = problems_of(tmp_path, '[core]\ndatabase = "postgresql+psycopg://moz:hunter2@db/mozdef"')
    assert "does not belong in a file" in problem
    assert "hunter2" not in problem
    url = "postgresql+psycopg://moz:hunter2@db/mozdef"
    config = load(written(tmp_path, ""), {"MOZDEF_CORE__DATABASE": url})
    assert "hunter2" not in repr(config)
    assert "hunter2" not in config.model_dump_json()


def test_a_database_without_a_password_may_stand_in_the_file(tmp_path):
    config = load(written(tmp_path, '[core]\ndatabase = "sqlite:////srv/book.db"'), {})
    assert config.database_url == "sqlite:////srv/book.db"
    (problem,) = problems_of(tmp_path, '[core]\ndatabase = "mysql://db/x"')
    assert problem.startswith("core.database: expected a URL that begins with sqlite: or postgresql:")


def test_option_tables_are_not_part_of_the_representation(tmp_path):
    config = load(
        written(tmp_path, '[plugin.slack]\ntoken = "hunter2"\n[alerts.x]\npassword = "hunter2"'), {}
    )
    assert "hunter2" not in repr(config)


@given(
    st.dictionaries(st.from_regex(r"MOZDEF_[A-Z_]{0,12}", fullmatch=True), st.text(max_size=8), max_size=4)
)
def test_no_environment_makes_it_do_anything_but_read_or_explain(environ):
    config, problems = read(None, environ)
    assert config.core.store
    assert all(isinstance(problem, str) and problem for problem in problems)
