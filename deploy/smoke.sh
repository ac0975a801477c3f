#!/usr/bin/env bash
# The whole flow of an upload, by curl: a small file and one of two parts, sent and read back.
#
#   deploy/smoke.sh BASE_URL [TOKEN]
#
# BASE_URL is the balancer's (or one instance's) URL, as clients call it. TOKEN is a user's; $OPENIM_TOKEN by default.
# Needs curl, md5sum and the usual small tools; no Python, no jq. Exit code 0 only if all of it held.
set -uo pipefail

usage() { sed -n 's/^# \{0,1\}//; 2,7p' "$0"; }

case ${1:-} in
-h | --help) usage && exit 0 ;;
http://* | https://*) base=${1%/} ;;
*) usage >&2 && exit 2 ;;
esac
token=${2:-${OPENIM_TOKEN:-}}
if [[ -z $token ]]; then
    echo "smoke: a token is missing: give it as the second argument or in \$OPENIM_TOKEN; \`openim-direct token USER\` prints one" >&2
    exit 2
fi
for program in curl md5sum base64 cmp dd; do
    type -P "$program" >/dev/null || { echo "smoke: $program is not here: install it" >&2 && exit 2; }
done

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "FAILED: $1" >&2
    [[ -z ${2:-} ]] || printf '  the answer: %s\n' "$2" >&2
    exit 1
}

# The user whose token it is: names begin with it.
user_of() {
    local payload=${1#*.}
    payload=${payload%%.*}
    payload=$(printf '%s' "$payload" | tr '_-' '/+')
    while ((${#payload} % 4)); do payload+="="; done
    printf '%s' "$payload" | base64 -d 2>/dev/null | sed -n 's/.*"UserID" *: *"\([^"]*\)".*/\1/p'
}

# POST to a route; its answer in $answer. Usage: post ROUTE BODY
post() {
    local status
    answer=$(curl -sS --max-time 60 -b "$work/cookies" -c "$work/cookies" -w '\n%{http_code}' -X POST "$base/object/$1" \
        -H "token: $token" -H "operationID: smoke-$$-$RANDOM" -H 'Content-Type: application/json' -d "$2" 2>&1) ||
        fail "$1: no answer from $base" "${answer%$'\n'*}"
    status=${answer##*$'\n'}
    answer=${answer%$'\n'*}
    [[ $status == 200 && $answer == *'"errCode":0,'* ]] || fail "$1: HTTP $status" "$answer"
    # v3.4.0 writes & so.
    answer=${answer//\\u0026/&}
}

# The first value of a field, of a text or a number. Usage: field NAME JSON
field() {
    local rest
    [[ $2 == *"\"$1\":"* ]] || return 1
    rest=${2#*"\"$1\":"}
    case $rest in
    \"*) rest=${rest#\"} && printf '%s' "${rest%%\"*}" ;;
    *) printf '%s' "${rest%%[,\}]*}" ;;
    esac
}

md5_of() { md5sum | sed 's/ .*//'; }

# The instance cookie is the only one that is set.
cookie() {
    local found=''
    [[ ! -f $work/cookies ]] || found=$(sed -e 's/^#HttpOnly_//' -e '/^#/d' -e '/^$/d' "$work/cookies" | cut -f 6,7 | tr '\t' '=')
    printf '%s' "${found:-none}"
}

# Upload a file, read it back, compare. Usage: flow LABEL FILE NAME
flow() {
    local label=$1 file=$2 name=$3 size part_size count n hashes='' hash upload sign url path status reply
    size=$(wc -c <"$file" | tr -d ' ')
    post part_size "{\"size\":$size}"
    part_size=$(field size "$answer") || fail "part_size: no size" "$answer"
    count=$(((size + part_size - 1) / part_size))
    for ((n = 1; n <= count; n++)); do
        dd if="$file" of="$work/part.$n" bs="$part_size" skip=$((n - 1)) count=1 2>/dev/null || fail "cannot write to $work"
        hashes+=${hashes:+,}$(md5_of <"$work/part.$n")
    done
    hash=$(printf '%s' "$hashes" | md5_of)
    echo "$label: $size bytes in $count part(s) of at most $part_size, hash $hash"

    post initiate_multipart_upload "{\"hash\":\"$hash\",\"size\":$size,\"partSize\":$part_size,\"maxParts\":$count,\"cause\":\"\",\"name\":\"$name\",\"contentType\":\"application/octet-stream\"}"
    echo "  initiate   ok, instance cookie: $(cookie)"
    if upload=$(field uploadID "$answer"); then
        sign=$answer
        for ((n = 1; n <= count; n++)); do
            put "$n" "$sign"
        done
        post complete_multipart_upload "{\"uploadID\":\"$upload\",\"parts\":[\"${hashes//,/\",\"}\"],\"name\":\"$name\",\"contentType\":\"application/octet-stream\",\"cause\":\"\"}"
        echo "  complete   ok"
    else
        echo "  the content is there already: nothing to send"
    fi
    url=$(field url "$answer")
    [[ -n $url ]] || fail "no URL in the answer" "$answer"
    path=${url// /%20}
    status=$(curl -sS -L --max-time 300 -b "$work/cookies" -o "$work/back" -w '%{http_code}' "$path" 2>"$work/error") ||
        fail "GET $url: no answer" "$(cat "$work/error")"
    [[ $status == 200 ]] || fail "GET $url: HTTP $status" "$(head -c 1000 "$work/back")"
    reply=$(cmp "$file" "$work/back" 2>&1) || fail "GET $url gives back other bytes" "$reply"
    echo "  GET        ok, the bytes are equal: $url"
}

# Usage: put NUMBER ANSWER_OF_INITIATE
put() {
    local part=${2#*"\"partNumber\":$1,"} url status header
    local -a headers=()
    [[ $part != "$2" ]] || fail "initiate: no signed URL for part $1" "$2"
    part=${part%%\"partNumber\":*}
    url=$(field url "$part")
    [[ -n $url ]] || fail "initiate: no signed URL for part $1" "$2"
    # "header":[{"key":"K","values":["V"]},...], of this part only: what follows "parts" is for all.
    part=${part%%\],\"url\":*}
    while IFS= read -r header; do
        [[ -z $header ]] || headers+=(-H "$header")
    done < <(printf '%s\n' "$part" | tr '{' '\n' | sed -n 's/^"key":"\([^"]*\)","values":\["\([^"]*\)".*/\1: \2/p')
    status=$(curl -sS --max-time 300 -o "$work/reply" -w '%{http_code}' -T "$work/part.$1" ${headers[@]+"${headers[@]}"} "$url" 2>"$work/error") ||
        fail "PUT of part $1: no answer from ${url%%\?*}" "$(cat "$work/error")"
    [[ $status == 200 ]] || fail "PUT of part $1: HTTP $status" "$(head -c 1000 "$work/reply")"
    echo "  PUT $1      ok, ${url%%\?*}"
}

user=${OPENIM_USER:-$(user_of "$token")}
[[ -n $user ]] || fail "the token holds no UserID: is it one of OpenIM's? Else set OPENIM_USER"
post part_limit '{}'
echo "part_limit: ok, $answer"
run=$(date +%Y%m%dT%H%M%S)-$$
# Other content each time: what a node has already is not sent again.
if ! { head -c 30000 /dev/urandom >"$work/small" && head -c $((5 * 1024 * 1024 + 70000)) /dev/urandom >"$work/large"; }; then
    fail "cannot write to $work"
fi
flow "small file" "$work/small" "$user/smoke/$run-small.bin"
flow "two parts" "$work/large" "$user/smoke/$run-large.bin"
echo "all of it held"
