#!/usr/bin/env bash
# Runs the unit tests and whole uploads with other versions of Python and of what this depends on; not part of the gate:
#
#   tests/versions.sh                        python3.10 and python3.13, each with the newest versions that setup.cfg allows
#   tests/versions.sh lowest python3.10      with the lowest ones
set -euo pipefail
cd "$(dirname "$0")/.."
home=${OPENIM_DIRECT_HOME:-$PWD/.openim-direct}
which=newest
[[ ${1:-} != lowest && ${1:-} != newest ]] || { which=$1; shift; }
[[ $# -gt 0 ]] || set -- python3.10 python3.13
MINIO_BIN=$(deploy/tools.sh minio)
export MINIO_BIN
for python in "$@"; do
    venv=$home/versions/$python-$which
    [[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -e '.[all,test]'
    if [[ $which == lowest ]]; then
        # What the program itself needs; the tests' own tools stay new.
        "$venv/bin/python" - > "$venv/lowest.txt" <<'PROGRAM'
import configparser, re
setup = configparser.ConfigParser()
setup.read("setup.cfg")
for line in (setup["options"]["install_requires"] + setup["options.extras_require"]["all"]).split():
    name, lowest = re.match(r"([^<>=,]+)>=([0-9.]+)", line).groups()
    print(f"{name}=={lowest}")
PROGRAM
        "$venv/bin/pip" install -q --disable-pip-version-check -r "$venv/lowest.txt"
    fi
    echo "tests/versions.sh: $("$venv/bin/python" --version), $which versions" >&2
    "$venv/bin/python" -m pytest -q -p no:cacheprovider tests/unit tests/integration/test_uploads.py
done
