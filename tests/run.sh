#!/usr/bin/env bash
# Installs what the tests need under .openim-direct/, then runs linters, types and pytest. Arguments go to pytest:
#   tests/run.sh -k pinning        tests/run.sh tests/unit
# A program that is missing and cannot be installed fails the tests that need it.
set -euo pipefail
cd "$(dirname "$0")/.."
home=${OPENIM_DIRECT_HOME:-$PWD/.openim-direct}
python=
for candidate in python3.11 python3.12 python3.13 python3.10 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || { echo "tests/run.sh: needs Python 3.10 or newer on PATH" >&2; exit 1; }
# MinIO takes minutes where it must be built: meanwhile, what else is needed.
exec 3< <(exec deploy/tools.sh minio)
builder=$!
trap 'kill "$builder" 2>/dev/null || true' EXIT
venv=$home/test-venv
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/pip" install -q --disable-pip-version-check -e '.[all,test]'
echo "tests/run.sh: $("$venv/bin/python" --version); the programs that the tests run:" >&2
NGINX_BIN=$(deploy/tools.sh nginx)
HAPROXY_BIN=$(deploy/tools.sh haproxy)
MARIADB_BIN=$(deploy/tools.sh mariadb)
MYSQL_BIN=$(deploy/tools.sh mysql)
REDIS_BIN=$(deploy/tools.sh redis)
for tool in nginx-native faketime promtool chromium chromedriver node go systemd-analyze; do deploy/tools.sh "$tool" > /dev/null; done
"$venv/bin/ruff" check app tests
"$venv/bin/ruff" format --check app tests
"$venv/bin/mypy"
read -r MINIO_BIN <&3 || { echo "tests/run.sh: no MinIO; why is said above" >&2; exit 1; }
exec 3<&-
trap - EXIT
export MINIO_BIN NGINX_BIN HAPROXY_BIN MARIADB_BIN MYSQL_BIN REDIS_BIN
echo "$MINIO_BIN $NGINX_BIN $HAPROXY_BIN" >&2
# Coverage of the whole run, of every process that it starts: what serves requests are gunicorn's workers, and the unit tests
# alone pass through 59 % of app/. It takes half as much CPU again in Python's processes and hardly any time, since tests
# mostly wait: so three processes share them, a module at a time.
# A run with arguments is of a part, and its figure would say nothing.
[ $# -gt 0 ] || set -- -q -n 3 --dist loadscope --cov --cov-report=term:skip-covered
# With CI set pytest shows whole differences, and those of two long texts take it hours to find.
exec env -u CI -u BUILD_NUMBER "$venv/bin/python" -m pytest "$@"
