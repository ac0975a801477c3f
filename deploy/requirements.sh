#!/usr/bin/env bash
# Pins every dependency of a deployment by version and hash in deploy/requirements.txt, and asks for known faults in them:
#
#   deploy/requirements.sh          then: tests/run.sh, and commit
#   pip install --require-hashes -r deploy/requirements.txt && pip install --no-deps .
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${OPENIM_DIRECT_HOME:-$PWD/.openim-direct}/pin-venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install -q --disable-pip-version-check pip-tools pip-audit
"$venv/bin/pip-compile" -q --upgrade --generate-hashes --strip-extras --extra all --no-emit-index-url \
    --no-emit-trusted-host --no-emit-find-links -o deploy/requirements.txt setup.cfg
exec "$venv/bin/pip-audit" --disable-pip --require-hashes -r deploy/requirements.txt
