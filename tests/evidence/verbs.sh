#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# verbs.sh DOKIEM KEEP: keygen, list, show, status and verify on a journal of sample records, with everything done to
# the records that verify must see; and the same records before jose, Debian's JOSE tool, as a second opinion.
# shellcheck disable=SC2016 # what sh -c gets is for that shell to expand
set -u
dokiem=$1 keep=$2
work=$(mktemp -d) failed=0 checks=0
trap 'rm -rf "$work"' EXIT
export XDG_CONFIG_HOME=$work HOME=$work
cd "$work" || exit 99

# is NAME STATUS [PATTERN…] -- COMMAND…: COMMAND ends with STATUS, and each pattern is in what it prints.
is() {
    local name=$1 want=$2 patterns=() status bad=''
    shift 2
    while [ "$1" != -- ]; do patterns+=("$1") && shift; done
    shift
    [ ! -e out ] || cp out before
    "$@" >out 2>err </dev/null
    status=$?
    [ "$status" = "$want" ] || bad="exit $status, not $want"
    for pattern in "${patterns[@]}"; do
        grep -qE -- "$pattern" out err || bad="$bad; no '$pattern'"
    done
    if grep -qE 'AddressSanitizer|runtime error' err; then bad="$bad; sanitizer"; fi
    checks=$((checks + 1))
    if [ -z "$bad" ]; then echo "ok - $name"; else
        failed=$((failed + 1))
        echo "not ok - $name: $bad"
        head -c 2000 out err
    fi
}
# A Python expression over the JSON values, one a line, on standard input.
json() { python3 -c 'import json, sys; d = [json.loads(line) for line in sys.stdin]; print(eval(sys.argv[1]))' "$1"; }
verify() { "$dokiem" verify --key key.jwk "$@"; }
verify_stdin() { "$dokiem" verify --key key.jwk - <all.jws; }

# --- keygen
is 'no state folder yet' 66 'no journal' -- "$dokiem" status --state s
is 'keygen makes key and folders' 0 '^device  [A-Za-z0-9_-]{43}$' '^key .*/s/device.pem$' -- "$dokiem" keygen --state s
is 'the key is private' 0 '^600 700 700$' -- sh -c 'echo $(stat -c %a s/device.pem s s/journal)'
before=$(sha256sum s/device.pem)
is 'keygen does not overwrite' 77 'key already' -- "$dokiem" keygen --state s
is 'the key is the one it was' 0 -- test "$before" = "$(sha256sum s/device.pem)"
"$dokiem" keygen --public --state s >key.jwk
"$dokiem" keygen --state other >/dev/null && "$dokiem" keygen --public --state other >other.jwk
is 'keygen --public prints a JWK' 0 '^\{"crv":"P-256","kty":"EC","x":"[A-Za-z0-9_-]{43}","y":"[A-Za-z0-9_-]{43}"\}$' \
    -- cat key.jwk
is 'keygen takes no operand' 64 -- "$dokiem" keygen --state s x
chmod 640 s/device.pem
is 'a key that others may read is refused' 77 'mode 0640' -- "$dokiem" keygen --public --state s
is 'also by verify' 77 -- "$dokiem" verify --state s s/journal
chmod 600 s/device.pem

# --- an empty journal
is 'status of an empty journal' 0 '^records +0$' -- "$dokiem" status --state s
is 'list of an empty journal' 0 -- "$dokiem" list --state s
is 'show last of an empty journal' 66 'no record yet' -- "$dokiem" show last --state s
is 'verify of an empty journal' 66 'no records' -- "$dokiem" verify --state s s/journal

# --- three records
"$keep" s 3 || failed=$((failed + 1))
j=s/journal
awk 1 $j/*.jws >all.jws # with line ends between
id2=$("$dokiem" show 2 --state s --format json | json 'd[0]["id"]')
is 'list has a line a record' 0 '^ +1  20.*waiting +pass +130.0 Mb/s +[0-9.]+ Mb/s' '^ +3 ' -- "$dokiem" list --state s
is 'list as JSON' 0 '"delivery":"waiting"' -- "$dokiem" list --state s --format json
is 'each line is an object' 0 '^\[1, 2, 3\]$' -- eval 'json "[r[\"seq\"] for r in d]" <before'
is 'status counts' 0 '^waiting +3, the oldest since 20' '^last run .*measurement, pass' -- "$dokiem" status --state s
is 'status as JSON' 0 '"head_seq":3,"waiting":3' -- "$dokiem" status --state s --format json
is 'show by number' 0 '"seq": 2' -- "$dokiem" show 2 --state s
is 'show by id' 0 '"seq": 2' -- "$dokiem" show "$id2" --state s
is 'show last' 0 '"seq": 3' -- "$dokiem" show last --state s
is 'show the line' 0 -- sh -c \
    '"$0" show 3 --state s --format jws | tr -d "\n" | cmp - s/journal/0000000003.jws' "$dokiem"
is 'show the exact bytes' 0 -- sh -c \
    '[ "$("$0" show 3 --state s --format json | base64 -w0 | tr +/ -_ | tr -d =)" = \
        "$(cut -d. -f2 s/journal/0000000003.jws)" ]' \
    "$dokiem"
is 'show what is not there' 66 -- "$dokiem" show 9 --state s
is 'show an id that is not there' 66 'no such record' -- "$dokiem" show 00000000-0000-7000-8000-000000000000 --state s
is 'show without an id' 64 -- "$dokiem" show --state s
is 'an unknown format' 64 'text, json or jws' -- "$dokiem" show last --state s --format xml

# --- verify, whole
is 'the journal' 0 '^OK   s/journal/0000000001.jws seq 1 20.* measurement ' \
    '^3 records verified, chain whole from 1 to 3$' \
    -- "$dokiem" verify --state s $j
is 'with the public key alone' 0 'chain whole from 1 to 3' -- verify $j
is 'one file' 0 'chain whole from 2 to 2' -- verify $j/0000000002.jws
is 'lines of one file' 0 '^OK   all.jws:2 seq 2' 'from 1 to 3' -- verify all.jws
is 'standard input' 0 '^OK   -:3 seq 3' -- verify_stdin
is 'as JSON' 0 \
    '^\{"records":\[\{"file":"s/journal/0000000001.jws","line":1,"seq":1,"id":"[0-9a-f-]{36}","status":"ok",' \
    '"chain":\[\{"device":"[^"]{43}","first":1,"last":3,"state":"whole","problems":\[],' '"status":"ok"}$' \
    -- verify --format json $j
openssl pkey -in s/device.pem -pubout -out key.pem
is 'a PEM key' 0 -- "$dokiem" verify --key key.pem $j
echo "{\"keys\":[$(cat other.jwk),$(cat key.jwk)]}" >set.jwk
is 'a key set' 0 'from 1 to 3' -- "$dokiem" verify --key set.jwk $j
is 'a private key is refused' 65 'private key' -- "$dokiem" verify --key s/device.pem $j

# --- verify, not whole
is 'nothing to verify' 64 -- verify
is 'no such file' 66 'nowhere.jws' -- verify nowhere.jws
is 'no such file, beside a good one' 66 '1 record verified' 'nowhere.jws' -- verify nowhere.jws $j/0000000001.jws
is 'no such key' 66 -- "$dokiem" verify --key nowhere.jwk $j
is 'another key' 65 '^BAD  s/journal/0000000001.jws: the key .*: signed by another key' '^0 records verified, 3 bad$' \
    -- "$dokiem" verify --key other.jwk $j
"$dokiem" keygen --state third >/dev/null
echo "{\"keys\":[$(cat other.jwk),$("$dokiem" keygen --public --state third)]}" >set.jwk
is 'a set without the key' 65 'not in the set' -- "$dokiem" verify --key set.jwk $j
is 'a gap' 65 'BAD  chain of .*: record 2 is missing' '2 records verified, the chain is broken' \
    -- verify $j/0000000001.jws $j/0000000003.jws
is 'a gap in JSON' 65 '"problems":\["record 2 is missing"\]' '"status":"bad"' \
    -- verify --format json $j/0000000001.jws $j/0000000003.jws
is 'out of order' 65 'record 1 was given after record 2' -- verify $j/0000000002.jws $j/0000000001.jws $j/0000000003.jws
is 'given twice' 65 'record 2 was given twice' -- verify $j $j/0000000002.jws
cp -r s fork && rm fork/journal/0000000003.jws && "$keep" fork 1
is 'a fork' 65 'chain forks: there are different records 3' -- verify $j fork/journal/0000000003.jws
cp -r s swap && rm swap/journal/0000000002.jws swap/journal/0000000003.jws && "$keep" swap 1
is 'a record exchanged' 65 'record 3 does not follow the record 2 given' \
    -- verify $j/0000000001.jws swap/journal/0000000002.jws $j/0000000003.jws
tr -d '\n' <all.jws >glued.jws
is 'JWS without a line end between' 65 'more than one JWS' -- verify glued.jws
: >empty.jws
is 'an empty file' 65 'is empty' -- verify empty.jws
head -c 5000000 /dev/zero >long.jws
is 'a line without end' 65 'longer than' -- verify long.jws
is 'a record is no receipt' 65 '^3 records' 'receipt.jws: the receipt is not valid' \
    -- sh -c 'cp s/journal/0000000001.jws s/journal/0000000001.receipt.jws
        "$0" verify --key key.jwk s/journal' "$dokiem"
rm s/journal/0000000001.receipt.jws

# --- one altered bit in each of the three parts, before both verifiers; each word of jose's must be ours
if command -v jose >/dev/null; then
    cp $j/0000000001.jws one.jws
    is 'jose verifies' 0 '"seq":1' -- jose jws ver -i one.jws -k key.jwk -O -
    is 'jose gives the payload that show gives' 0 \
    -- sh -c '"$0" show 1 --state s --format json | cmp - before' "$dokiem"
    is 'jose refuses another key' 1 -- jose jws ver -i one.jws -k other.jwk -O /dev/null
    "$dokiem" show 1 --state s --format json | json 'd[0]["device"]["id"]' >device
    is 'jose agrees on the thumbprint' 0 "^$(jose jwk thp -i key.jwk -a S256)\$" -- cat device
else
    echo 'not ok - jose is not installed' && failed=$((failed + 1))
fi
python3 - "$j/0000000001.jws" <<'P'
import random, sys
jws = open(sys.argv[1], "rb").read().rstrip(b"\n")
first, second = jws.index(b"."), jws.rindex(b".")
for name, low, high in (("header", 0, first), ("payload", first + 1, second), ("signature", second + 1, len(jws))):
    for i in range(4):
        at = random.randrange(low, high)
        flipped = bytearray(jws)
        flipped[at] ^= 1 << random.randrange(8)
        open(f"flip-{name}-{i}.jws", "wb").write(flipped)
P
for file in flip-*.jws; do
    is "$file" 65 '^BAD  ' -- verify "$file"
    is "$file and jose" 1 -- jose jws ver -i "$file" -k key.jwk -O /dev/null
done

# --- what a record says does not steer the terminal
"$keep" s 1 "$(printf 'a\033[2Jb\302\233c\177d\342\200\256e')"
clean_text() { ! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80\xae'; }
clean() { "$dokiem" "$@" --state s 2>&1 | clean_text; }
# A terminal ends each line with a carriage return.
terminal() {
    script -qec "'$dokiem' $* --state s" /dev/null </dev/null | tr -d '\r' >tty.txt
    grep -q dokiem.record/1 tty.txt && clean_text <tty.txt
}
is 'the record does hold what may not be shown' 1 -- eval '"$dokiem" show last --state s --format json | clean_text'
is 'show is clean' 0 -- clean show last
is 'list is clean' 0 -- clean list
is 'status is clean' 0 -- clean status
is 'show on a terminal is clean' 0 -- terminal show last
is 'so is the payload' 0 -- terminal show last --format json

# --- a damaged journal
printf 'x' >s/journal/0000000002.jws
is 'list shows the damage and the rest' 65 ' 2  -  .*damaged' '^ +3 ' -- "$dokiem" list --state s
is 'show says it' 65 'damaged' -- "$dokiem" show 2 --state s
is 'verify says it' 65 '^BAD  s/journal/0000000002.jws' 'record 2 is missing' -- verify $j

echo "$((checks - failed)) of $checks checks passed"
[ "$failed" = 0 ] && [ "$checks" -gt 0 ]
