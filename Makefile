# Thin on purpose: it makes the environments; tox and the mozdef command do the work.
PYTHON ?= python3
VENV := .venv
PLUGINS := $(sort $(wildcard plugins/*))

.PHONY: serve test install

serve: install mozdef.toml
	$(VENV)/bin/mozdef serve

test: $(VENV)/tox
	$(VENV)/bin/tox run -e py,plugins,docs,lint,types

install: $(VENV)/installed

mozdef.toml:
	cp contrib/mozdef.toml mozdef.toml

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/tox: | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet "tox>=4.18"
	touch $@

$(VENV)/installed: setup.cfg alerts/setup.cfg $(PLUGINS:%=%/setup.cfg) | $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet $(foreach each,. alerts $(PLUGINS),-e ./$(each))
	touch $@
