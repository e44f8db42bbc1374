"""The pytest plugin for authors of plugins, rules and drivers: make events and hosts, run the contracts."""
