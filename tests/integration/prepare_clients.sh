#!/usr/bin/env bash
# Put the published clients, unchanged, into one directory each: prepare_clients.sh DIRECTORY
set -euo pipefail
at=$1
python=${PYTHON:-python3}
command -v "$python" >/dev/null
"$python" -m venv "$at/pip" >/dev/null
while read -r name requirement; do
    [ -d "$at/$name" ] || "$at/pip/bin/python" -m pip install --quiet --target "$at/$name" $requirement
done <<'LIST'
mozdef mozdef-client==1.1
elasticsearch8 elasticsearch>=8.15,<9
elasticsearch9 elasticsearch==9.5.1
opensearch2 opensearch-py>=2.8,<3
opensearch3 opensearch-py==3.2.0
LIST
