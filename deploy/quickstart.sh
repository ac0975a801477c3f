#!/usr/bin/env bash
# The whole of openim-direct on this machine: two MinIO nodes, two instances and nginx on loopback, and uploads through them.
#
#   deploy/quickstart.sh [--once] [--config FILE]
#
# Installs what it needs (the first time: a Python environment, and MinIO, which takes about 3 minutes to build where there
# is none), starts the deployment, uploads a picture and a file of several parts through the balancer with the instance
# cookie and without, reads them back and compares. Stays up until Ctrl-C.
#
#   --once         end after the demonstration; exit code 0 only if all of it held
#   --config FILE  the deployment, all of it on 127.0.0.1; instances.yaml of the repository by default
#
# MINIO_BIN, NGINX_BIN and PYTHON name programs to use; OPENIM_DIRECT_HOME is the folder for all that this makes, by default
# .openim-direct in the repository.
set -uo pipefail

usage() { sed -n 's/^# \{0,1\}//; 2,14p' "$0"; }

arguments=("$@")
while (($#)); do
    case $1 in
    --once | --config=?*) shift ;;
    --config) shift 2 2>/dev/null || { usage >&2 && exit 2; } ;;
    -h | --help) usage && exit 0 ;;
    *) echo "quickstart: unknown argument: $1" >&2 && usage >&2 && exit 2 ;;
    esac
done
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
home=${OPENIM_DIRECT_HOME:-$repo/.openim-direct}
# nginx's configuration holds the path as it is.
mkdir -p "$home" && home=$(cd "$home" && pwd) && [[ -w $home && $home =~ ^[A-Za-z0-9_./@+-]+$ ]] || {
    echo "quickstart: not in $home: set OPENIM_DIRECT_HOME to a folder of yours, with letters, digits and _ . / @ + - in its path" >&2
    exit 1
}
export OPENIM_DIRECT_HOME=$home
exec 9>"$home/quickstart.lock"
if type -P flock >/dev/null && ! flock -n 9; then
    echo "quickstart: another one runs in $home: end it, or set OPENIM_DIRECT_HOME to another folder" >&2
    exit 1
fi
# shellcheck source=deploy/tools.sh
source "$repo/deploy/tools.sh"

# The environment is made anew only when what the package requires has changed.
stamp="$repo $(cat "$repo/setup.cfg" "$repo/pyproject.toml" | cksum)"
is_current() { [[ -f $home/venv.stamp && $(<"$home/venv.stamp") == "$stamp" ]] && "$home/venv/bin/python" -Ic 'import app' 2>/dev/null; }

# Editable, from a folder of links: setuptools writes beside the source, and the repository shall stay as it is.
install_package() {
    local log=$home/logs/install.log
    echo "quickstart: installing the package and what it needs into $home/venv" >&2
    rm -rf "$home/venv" "$home/source" "$home/venv.stamp"
    mkdir "$home/source" && ln -s "$repo"/{app,setup.cfg,pyproject.toml,README.md,LICENSE} "$home/source/" || exit 1
    tools_venv "$home/venv" || exit 1
    tools_run "pip install" "$log" "$home/venv/bin/python" -m pip install --disable-pip-version-check -e "$home/source[all]" || {
        tools_failed_log "$log"
        tools_fail "the package could not be installed: pip needs a package index, see the log for what it missed"
    }
    echo "$stamp" >"$home/venv.stamp"
}

if ! is_current; then
    tools_begin
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    tools_folder && install_package
fi
# It keeps the lock, but not that of apt; signals are its own from here on.
exec "$home/venv/bin/python" "$repo/deploy/quickstart.py" ${arguments[@]+"${arguments[@]}"} 8>&-
