#!/usr/bin/env bash
# The whole of openim-direct on this machine: two MinIO nodes, two instances and nginx on loopback, and uploads through
# them. See --help. What it makes lies under $OPENIM_DIRECT_HOME (.openim-direct in the repository by default).
set -uo pipefail

usage() {
    cat <<'END'
usage: deploy/quickstart.sh [--once] [--config FILE]

Installs what it needs (the first time: a Python environment, and MinIO, which takes about 3 minutes to build where there
is none), starts the deployment on this machine, uploads a picture and a file of several parts through the balancer with
the instance cookie and without, reads them back and compares. Stays up until Ctrl-C.

  --once         end after the demonstration; exit code 0 only if all of it held
  --config FILE  the deployment, all of it on 127.0.0.1; instances.yaml of the repository by default

Environment: MINIO_BIN, NGINX_BIN and PYTHON name programs to use; OPENIM_DIRECT_HOME is the folder for all that this makes.
END
}

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
home=${OPENIM_DIRECT_HOME:-$repo/.openim-direct}
arguments=()
while (($#)); do
    case $1 in
    --once) arguments+=(--once) ;;
    --config)
        [[ -n ${2:-} ]] || { usage >&2 && exit 2; }
        arguments+=(--config "$2")
        shift
        ;;
    --config=?*) arguments+=(--config "${1#*=}") ;;
    -h | --help) usage && exit 0 ;;
    *)
        echo "quickstart: unknown argument: $1" >&2
        usage >&2
        exit 2
        ;;
    esac
    shift
done
mkdir -p "$home" && home=$(cd "$home" && pwd) && [[ -w $home ]] || {
    echo "quickstart: cannot write to $home: set OPENIM_DIRECT_HOME to a folder of yours" >&2
    exit 1
}
export OPENIM_DIRECT_HOME=$home
# It goes into nginx's configuration as it is.
if [[ $home =~ [^A-Za-z0-9_./@+-] ]]; then
    echo "quickstart: the path $home holds more than letters, digits and _ . / @ + -: set OPENIM_DIRECT_HOME to another folder" >&2
    exit 1
fi
# shellcheck source=deploy/tools.sh
source "$repo/deploy/tools.sh"

child=''
answer=$home/.answer.$$
trap 'rm -f "$answer"' EXIT
trap 'end_child; exit 130' INT
trap 'end_child; exit 143' TERM HUP

end_child() {
    [[ -n $child ]] || return 0
    # The step clears up first.
    { kill -TERM -- "-$child" && wait "$child"; } 2>/dev/null
}

# Runs a step in a process group of its own: a signal ends all of it at once, and nothing goes on alone.
step() {
    set -m
    "$@" </dev/null &
    child=$!
    set +m
    wait "$child"
    local status=$?
    child=''
    return "$status"
}

# The package in an environment of its own, again only when what it asks for has changed. Editable, from a folder of links:
# setuptools writes beside the source, and the repository shall stay as it is. A step, so it ends by `exit`.
install_package() {
    tools_begin
    trap 'exit 143' TERM HUP
    tools_lock package
    current && exit 0
    echo "quickstart: installing the package and what it needs into $home/venv" >&2
    rm -rf "$home/venv" "$home/source" "$home/venv.stamp"
    mkdir "$home/source" || exit 1
    for name in app setup.cfg pyproject.toml README.md LICENSE; do
        [[ ! -e $repo/$name ]] || ln -s "$repo/$name" "$home/source/$name"
    done
    tools_venv "$home/venv" || exit 1
    tools_run "pip install" "$home/logs/install.log" \
        "$home/venv/bin/python" -m pip install --disable-pip-version-check -e "$home/source[all]" || {
        tools_failed_log "$home/logs/install.log"
        tools_fail "the package could not be installed: pip needs a package index, see the log for what it missed"
    }
    stamp >"$home/venv.stamp"
}

stamp() { echo "$repo $(cat "$repo/setup.cfg" "$repo/pyproject.toml" | cksum)"; }

current() {
    [[ -f $home/venv.stamp && $(cat "$home/venv.stamp") == "$(stamp)" ]] && "$home/venv/bin/python" -c 'import app' 2>/dev/null
}

current || step install_package || exit 1
{ step tools_main minio >"$answer" && minio=$(cat "$answer") && step tools_main nginx >"$answer" && nginx=$(cat "$answer"); } || exit 1
# `exec` runs no trap.
rm -f "$answer"
# Its signals are its own from here on.
exec "$home/venv/bin/python" "$repo/deploy/quickstart.py" --minio "$minio" --nginx "$nginx" --home "$home" ${arguments[@]+"${arguments[@]}"}
