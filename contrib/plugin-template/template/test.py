"""The plugin does what its README says, and what the core expects of every plugin."""

from __future__ import annotations

$imports

from mozdef_$name import $class


def test_the_plugin_keeps_the_contract(run_contract, make_event):
    event = make_event("refused user=ines", details={"program": "$name"})
    run_contract($class, events=[event])


$tests
