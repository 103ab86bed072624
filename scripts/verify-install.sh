#!/bin/sh
# Prove an installed Stigmer: files, start, end-to-end call, processes, stop. POSIX sh (dash, busybox, bash); no Python.
#
# It never touches ~/.stigmer nor a server that runs already: it works in a temporary home and on free ports.
# Every check is tried whatever became of those before it. Only a report with its END line is a result.
# What is tried with --bottle and --trials stands in verify-trials.sh, beside this file.
set -u
LC_ALL=C
export LC_ALL

usage() {
    cat <<'EOF'
Usage: verify-install.sh [OPTION]...
Prove that an installed Stigmer is whole, starts, works end to end and stops.

  --stigmer PATH      the command to verify (default: the one on PATH)
  --prefix DIR        the same as --stigmer DIR/bin/stigmer
  --keg DIR           where it is installed (default: found from the command)
  --expect-version V  the version it must have (default: the one its index names)
  --name NAME         the product's name (default: stigmer)
  --components NAMES  the services it must have (default: the four of Stigmer 2; of another product, those it names)
  --home DIR          a home for the trial that does not exist yet (default: a temporary one)
  --trials            also kill the supervisor and damage a component, in the trial's home, and see it recover
  --bottle FILE       install this bottle first, and remove it at the end; --prefix names an empty place for it
                      (default: a temporary one). With --trials also upgrade it while it runs
  --next FILE         the bottle to upgrade to (default: the same programs under an index of the next version)
  --free-ports        take free ports even when the standard ones are free
  --python-free       demand that there is no Python on this machine but inside the keg
  --deep              with --python-free: also look for renamed interpreters, by content
  --own DIR           a directory that may hold Python after all (may be repeated)
  --offline           demand that this machine has no network
  --slow              an emulated machine: a call that is refused at first may be tried four times
  --json              report JSON instead of TAP
  --nonce TEXT        a word for the report's BEGIN and END lines
  --help              show this

Exit codes: 0 everything holds, 1 something does not, 2 wrong usage.
EOF
}

refuse() {
    printf 'Error: %s\n' "$1" >&2
    exit 2
}

# --- options -----------------------------------------------------------------------------------------------------------

stigmer='' prefix='' keg='' home='' expected='' nonce='' format=tap bottle='' next=''
product=stigmer components=''
python_free=no deep=no offline=no free_ports=no trials=no slow=no
own='' # one directory a line

while [ $# -gt 0 ]; do
    case $1 in
        --stigmer | --prefix | --keg | --expect-version | --name | --components | --home | --bottle | --next | --own | --nonce)
            [ $# -ge 2 ] || refuse "$1 needs a value"
            case $1 in
                --stigmer) stigmer=$2 ;;
                --prefix) prefix=$2 ;;
                --keg) keg=$2 ;;
                --expect-version) expected=$2 ;;
                --name) product=$2 ;;
                --components) components=$2 ;;
                --home) home=$2 ;;
                --bottle) bottle=$2 ;;
                --next) next=$2 ;;
                --nonce) nonce=$2 ;;
                --own)
                    own="$own$(cd "$2" 2>/dev/null && pwd -P)
"
                    ;;
            esac
            shift
            ;;
        --trials) trials=yes ;;
        --free-ports) free_ports=yes ;;
        --python-free) python_free=yes ;;
        --deep) deep=yes ;;
        --offline) offline=yes ;;
        --slow) slow=yes ;;
        --json) format=json ;;
        --help)
            usage
            exit 0
            ;;
        *) refuse "there is no option $1 (see --help)" ;;
    esac
    shift
done

home_variable=$(printf '%s_HOME' "$product" | tr 'a-z-' 'A-Z_')
[ "$product" != stigmer ] || : "${components:=temporal stigmer-server workflow-runner agent-runner}"

# --- the machine -------------------------------------------------------------------------------------------------------

has() {
    command -v "$1" >/dev/null 2>&1
}

now() { # in seconds, as fine as the machine tells
    if [ -r /proc/uptime ]; then
        read -r uptime _ </proc/uptime
        echo "$uptime"
    else
        date +%s
    fi
}

if timeout --foreground -k 1 5 true >/dev/null 2>&1; then
    within() { # in the foreground, so that Ctrl-C reaches it too
        timeout --foreground -k 5 "$@"
    }
elif timeout 5 true >/dev/null 2>&1; then
    within() {
        timeout "$@"
    }
else
    within() { # no timeout on this machine: whoever started this script has the deadline
        shift
        "$@"
    }
fi

real_file() { # the file a path leads to, links followed
    followed=$1
    while [ -L "$followed" ]; do
        goal=$(readlink "$followed")
        case $goal in
            /*) followed=$goal ;;
            *) followed=$(dirname "$followed")/$goal ;;
        esac
    done
    printf '%s/%s\n' "$(cd "$(dirname "$followed")" && pwd -P)" "$(basename "$followed")"
}

listening() { # whether anybody listens on a TCP port of this machine
    if [ -r /proc/net/tcp ]; then
        cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
            awk -v port="$(printf '%04X' "$1")" '$4 == "0A" && $2 ~ ":" port "$" { found = 1 } END { exit !found }'
    else
        netstat -an -p tcp 2>/dev/null | grep LISTEN | grep -q "[.:]$1 "
    fi
}

flatten_json() { # one line for each scalar: /path/of/keys, a tab, the value as it is written
    awk '
        function give(value,    i, path) {
            for (i = 1; i <= depth; i++) path = path "/" (kind[i] == "[" ? count[i] : key[i])
            print path "\t" value
        }
        {
            line = $0
            while (match(line, /^[ \t\r]*("([^"\\]|\\.)*"|[][{},:]|[-+.0-9eE]+|true|false|null)/)) {
                token = substr(line, 1, RLENGTH)
                line = substr(line, RLENGTH + 1)
                sub(/^[ \t\r]+/, "", token)
                if (token == "{" || token == "[") { kind[++depth] = token; count[depth] = 0; at_key[depth] = token == "{" }
                else if (token == "}" || token == "]") depth--
                else if (token == ",") { count[depth]++; at_key[depth] = kind[depth] == "{" }
                else if (token == ":") at_key[depth] = 0
                else {
                    if (token ~ /^"/) token = substr(token, 2, length(token) - 2)
                    if (at_key[depth]) key[depth] = token; else give(token)
                }
            }
            if (line !~ /^[ \t\r]*$/ || depth < 0) { broken = 1; exit }
        }
        END { exit broken || depth != 0 }
    ' "$1"
}

value_at() { # FILE PATH: the value at a path of a flattened file
    awk -F '\t' -v path="$2" '$1 == path { print $2; found = 1; exit } END { exit !found }' "$1"
}

# --- the report --------------------------------------------------------------------------------------------------------

number=0 failures=0

quoted() { # standard input as one JSON string, its last 40 lines
    tail -n 40 | cut -c 1-500 | tr -d '\000-\010\013-\037\177' | awk '
        BEGIN { printf "\"" }
        { gsub(/\\/, "\\\\"); gsub(/"/, "\\\""); gsub(/\t/, "\\t"); printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }
        END { printf "\"" }'
}

begin_report() {
    case $format in
        tap) printf 'TAP version 13\n# BEGIN %s\n' "$nonce" ;;
        json) printf '{"begin": %s, "checks": [' "$(printf '%s' "$nonce" | quoted)" ;;
    esac
}

check() { # NAME FUNCTION: the function says what it saw; it gives 0 when that is right, 77 when there was nothing to see
    number=$((number + 1))
    began=$(now)
    "$2" >"$work/detail" 2>&1
    outcome=$?
    seconds=$(awk -v from="$began" -v to="$(now)" 'BEGIN { printf "%.2f", to - from }')
    case $outcome in
        0) outcome=passed ;;
        77) outcome=skipped ;;
        *) outcome=failed failures=$((failures + 1)) ;;
    esac
    "report_$format" "$1" "$outcome" "$seconds" "$(quoted <"$work/detail")"
}

report_tap() {
    result=ok directive=''
    [ "$2" != failed ] || result='not ok'
    [ "$2" != skipped ] || directive=" # SKIP $(head -n 1 "$work/detail")"
    printf '%s %s - %s%s\n  ---\n  seconds: %s\n  detail: %s\n  ...\n' "$result" "$number" "$1" "$directive" "$3" "$4"
}

report_json() {
    [ "$number" -eq 1 ] || printf ','
    printf '\n {"name": "%s", "outcome": "%s", "seconds": %s, "detail": %s}' "$@"
}

end_report() {
    passed=true
    [ "$failures" -eq 0 ] || passed=false
    case $format in
        tap) printf '1..%s\n# END %s\n' "$number" "$nonce" ;;
        json) printf '\n], "passed": %s, "end": %s}\n' "$passed" "$(printf '%s' "$nonce" | quoted)" ;;
    esac
}

# --- the product -------------------------------------------------------------------------------------------------------

run_stigmer() { # SECONDS ARGUMENT...: the command with nothing of the user's environment but PATH
    limit=$1
    shift
    set -- "$stigmer" "$@"
    [ "$poisoned" = no ] || set -- PYTHONHOME="$work/poison" PYTHONPATH="$work/poison" LD_LIBRARY_PATH="$work/poison" "$@"
    within "$limit" env -i HOME="$work/user" "$home_variable=$home" TMPDIR="$work/tmp" PATH="$work/tripwire:$PATH" \
        LANG=C.UTF-8 "$@" </dev/null
}

lay_tripwire() { # programs that only write down that they were called
    mkdir "$work/tripwire"
    # shellcheck disable=SC2016 # what the programs expand
    printf '#!/bin/sh\necho "$0 $*" >>"%s"\nexit 97\n' "$work/tripped" >"$work/tripwire/python"
    chmod 755 "$work/tripwire/python"
    for name in python2 python3 python3.11 python3.12 python3.13 python3.14 pypy pypy3 pip pip3 pipx uv uvx poetry conda; do
        ln "$work/tripwire/python" "$work/tripwire/$name"
    done
    "$work/tripwire/pip3" --control # a wire that is never seen to trip proves nothing
}

is_ours() { # whether a path is inside the keg, a home of Stigmer, or a directory given with --own
    case $1 in "${keg:-/nowhere}"/* | "$home"/* | "$work"/* | "${STIGMER_HOME:-${HOME:-}/.$product}"/*) return 0 ;; esac
    [ -n "$own" ] || return 1
    while read -r each; do
        case $1 in "$each"/*) [ -n "$each" ] && return 0 ;; esac
    done <<EOF
$own
EOF
    return 1
}

only_others() { # of the paths on standard input those that are not ours
    while read -r path; do
        is_ours "$path" || printf '%s\n' "$path"
    done
}

component_names() {
    awk -F '\t' '$1 ~ "^/components/[0-9]+/name$" { print $2 }' "$work/index"
}

default_ports() { # NAME NUMBER, one a line
    awk -F '\t' '
        $1 ~ "^/components/[0-9]+/ports/[0-9]+/0$" { name = $2 }
        $1 ~ "^/components/[0-9]+/ports/[0-9]+/1$" { print name, $2 }' "$work/index"
}

choose_ports() { # writes NAME NUMBER lines: the standard ports when all of them are free, else others
    default_ports >"$work/ports"
    busy=$free_ports
    while read -r _ port; do
        ! listening "$port" || busy=yes
    done <"$work/ports"
    [ "$busy" = yes ] || return 0
    # below the ports that systems give out; scripts that run at the same time begin at least 16 ports apart
    port=$((20000 + 16 * ($$ % 700)))
    default_ports | while read -r name _; do
        port=$((port + 1))
        while listening "$port"; do port=$((port + 1)); done
        printf '%s %s\n' "$name" "$port"
    done >"$work/ports"
    port_options=$(awk '{ printf " --port %s=%s", $1, $2 }' "$work/ports")
}

# PID PARENT EXECUTABLE of every process we may look into
process_table() {
    if [ -d /proc/self/fd ]; then # one program for all processes: an emulated machine takes long to start one for each
        # shellcheck disable=SC2012 # the names are numbers
        ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n 's,^.* /proc/\([0-9]*\)/exe -> ,\1 ,p' |
            while read -r pid executable; do
                parent=$(parent_of "$pid")
                printf '%s %s %s\n' "$pid" "${parent:-0}" "$executable"
            done
    else
        ps -axo pid=,ppid=,comm=
    fi
}

sees_processes() { # whether the table can be relied on: one that lacks this very process proves nothing
    process_table | grep -q "^ *$$ " && return 0
    echo 'the process table does not show this script; ps may be denied here, as by a sandbox on macOS'
    return 1
}

parent_of() { # PID
    while read -r key value _; do
        [ "$key" != PPid: ] || echo "$value"
    done 2>/dev/null <"/proc/$1/status"
}

is_of_the_trial() { # PID EXECUTABLE: runs from the trial's home, or in the environment that only this script gives
    case $2 in "$home"/*) return 0 ;; esac
    { tr '\0' '\n' <"/proc/$1/environ"; } 2>/dev/null | grep -q -x -F "HOME=$work/user"
}

# A server that the user runs from the same keg is none of ours.
our_processes() { # PID EXECUTABLE of every process of the trial, with the supervisor above and all descendants
    process_table >"$work/processes"
    while read -r pid parent executable; do
        seed=no
        ! is_of_the_trial "$pid" "$executable" || seed=yes
        printf '%s %s %s %s\n' "$seed" "$pid" "$parent" "$executable"
    done <"$work/processes" | awk -v keg="$keg/" '
        {
            pid[NR] = $2; parent[$2] = $3; ours[$2] = $1 == "yes"
            executable[$2] = $0; sub(/^[^ ]+ [^ ]+ [^ ]+ /, "", executable[$2])
        }
        END {
            for (i = 1; i <= NR; i++) if (ours[pid[i]] && index(executable[parent[pid[i]]], keg) == 1) ours[parent[pid[i]]] = 1
            do {
                grown = 0
                for (i = 1; i <= NR; i++) if (!ours[pid[i]] && ours[parent[pid[i]]]) grown = ours[pid[i]] = 1
            } while (grown)
            for (i = 1; i <= NR; i++) if (ours[pid[i]]) print pid[i], executable[pid[i]]
        }'
}

touched_by() { # every file a process runs, maps or holds open
    if [ -d "/proc/$1" ]; then
        readlink "/proc/$1/exe"
        sed -n 's,^[^/]*\(/.*\),\1,p' "/proc/$1/maps" | sort -u
        find "/proc/$1/fd" -type l -exec readlink {} \;
    else
        lsof -nP -p "$1" -Fn | sed -n 's/^n//p'
    fi
}

# --- the checks --------------------------------------------------------------------------------------------------------

started=no poisoned=no port_options='' execution=''
MARK=verify-install.mark
PYTHON_PATH='(^|/)(lib)?(python|pypy)[^/]*(/|$)|/(site|dist)-packages(/|$)'

needs_start() {
    [ "$started" = yes ] && return 0
    echo 'not tried: the server did not start'
    return 1
}

index_is_read() {
    flatten_json "$keg/libexec/payload.json" >"$work/index" || {
        echo "$keg/libexec/payload.json cannot be read"
        return 1
    }
    printf '%s\n' "$keg" "$(component_names)"
    for name in $components; do
        component_names | grep -q -x -F "$name" || {
            echo "the index names no $name"
            return 1
        }
    done
}

version_is_right() {
    : "${expected:=$(value_at "$work/index" /version)}"
    printed=$(run_stigmer 20 --version) || {
        printf '%s\n' "$printed"
        return 1
    }
    echo "$printed"
    [ "$printed" = "$product $expected" ] || {
        echo "expected: $product $expected"
        return 1
    }
}

home_stays_untouched() {
    mkdir "$work/untouched"
    for question in --version --help 'completion bash' 'completion zsh' 'completion fish'; do
        # shellcheck disable=SC2086 # two words on purpose
        within 20 env -i HOME="$work/untouched" PATH="$work/tripwire:$PATH" TMPDIR="$work/tmp" "$stigmer" $question \
            </dev/null >"$work/answer" || : >"$work/answer"
        [ -s "$work/answer" ] || {
            echo "$question fails"
            return 1
        }
    done
    left=$(find "$work/untouched" "$work/tmp" ! -path "$work/untouched" ! -path "$work/tmp")
    [ -z "$left" ] || {
        printf 'left behind: %s\n' "$left"
        return 1
    }
}

shells_and_man_find_theirs() {
    for file in "bash:etc/bash_completion.d/$product" "zsh:share/zsh/site-functions/_$product" \
        "fish:share/fish/vendor_completions.d/$product.fish"; do
        run_stigmer 20 completion "${file%%:*}" >"$work/answer"
        cmp "$work/answer" "$keg/${file#*:}" || return 1
        [ -z "$bottle" ] || [ -s "$prefix/${file#*:}" ] || {
            echo "not linked into the prefix: ${file#*:}"
            return 1
        }
    done
    [ "$product" != stigmer ] || [ -s "$keg/share/man/man1/stigmer.1" ] || {
        echo 'there is no manual page'
        return 1
    }
}

checksums_hold() {
    cd "$keg" || return 1
    if has sha256sum; then
        sha256sum -c libexec/SHA256SUMS >"$work/sums" 2>&1
    elif has shasum; then
        shasum -a 256 -c libexec/SHA256SUMS >"$work/sums" 2>&1
    else
        echo 'neither sha256sum nor shasum is on this machine'
        return 77
    fi
    sums=$?
    cd / || return 1
    grep -v ': OK$' "$work/sums"
    [ "$sums" -eq 0 ] || {
        echo 'damaged, or rewritten by a Homebrew older than 5.1.15: brew update, then brew reinstall stigmer'
        return 1
    }
    echo "$(grep -c ': OK$' "$work/sums") files"
}

files_are_those_of_the_index() {
    wrong=0
    sed 's/^[0-9a-f]*  //' "$keg/libexec/SHA256SUMS" | sort >"$work/listed"
    # brew keeps its receipt, its copy of the formula and its service files beside ours
    (cd "$keg" && find . -type f | sed 's,^\./,,' | grep -v \
        -e '^INSTALL_RECEIPT\.json$' -e '^\.brew/[^/]*\.rb$' -e '^sbom\.spdx\.json$' -e '^libexec/SHA256SUMS$' \
        -e '^homebrew\.[^/]*\.\(service\|plist\|timer\)$' | sort) >"$work/found"
    awk -F '\t' '
        $1 ~ "^/components/[0-9]+/files/[0-9]+/0$" { path = $2 }
        $1 ~ "^/components/[0-9]+/files/[0-9]+/2$" { print $2 "  libexec/components/" path }' "$work/index" >"$work/indexed"
    grep -v -x -F -f "$work/listed" "$work/found" | sed 's/^/not in the index: /' | grep . && wrong=1
    grep -v -x -F -f "$work/found" "$work/listed" | sed 's/^/missing: /' | grep . && wrong=1
    grep -v -x -F -f "$keg/libexec/SHA256SUMS" "$work/indexed" | sed 's/^/index and checksums differ: /' | grep . && wrong=1
    [ -s "$work/indexed" ] || {
        echo 'the index names no file'
        return 1
    }
    echo "$(wc -l <"$work/found" | tr -d ' ') files"
    return $wrong
}

modes_are_right() {
    wrong=$(cd "$keg" && find . ! -type l \( -perm -020 -o -perm -002 -o -perm -4000 -o -perm -2000 \) |
        sed 's/^/writable by others or setuid: /')
    entries=$(awk -F '\t' '$1 ~ "^/components/[0-9]+/entry$" { print $2 }' "$work/index")
    for entry in $entries; do
        [ -x "$keg/libexec/components/$entry" ] || wrong="$wrong
not executable: $entry"
    done
    absolute=$(cd "$keg" && find . -type l -exec sh -c 'case $(readlink "$1") in /*) echo "absolute link: $1" ;; esac' - {} \;)
    printf '%s\n' "$wrong" "$absolute" | grep . && return 1
    return 0
}

programs_are_for_this_machine() { # by the first bytes of ELF and Mach-O; a script has none
    case $(uname -s).$(uname -m) in
        Linux.x86_64) target=linux-amd64 magic='7f 45 4c 46 .*3e 00' ;;
        Linux.aarch64 | Linux.arm64) target=linux-arm64 magic='7f 45 4c 46 .*b7 00' ;;
        Darwin.x86_64) target=darwin-amd64 magic='cf fa ed fe 07 00 00 01.*' ;;
        Darwin.arm64) target=darwin-arm64 magic='cf fa ed fe 0c 00 00 01.*' ;;
        *)
            echo "this script does not know the machine $(uname -s) $(uname -m)"
            return 77
            ;;
    esac
    wrong=0
    [ "$(value_at "$work/index" /target)" = "$target" ] || {
        echo "the index says $(value_at "$work/index" /target), this machine is $target"
        wrong=1
    }
    awk -F '\t' '$1 ~ "^/components/[0-9]+/entry$" { print "libexec/components/" $2 }' "$work/index" >"$work/programs"
    for program in bin/stigmer $(cat "$work/programs"); do
        head=$(od -A n -t x1 -N 20 "$keg/$program" | tr -s ' \n' ' ')
        case $head in ' 7f 45 4c 46'* | ' cf fa ed fe'*) ;; *) continue ;; esac
        printf '%s' "$head" | grep -q -x " $magic *" || {
            echo "made for another machine: $program"
            wrong=1
        }
    done
    echo "$target"
    return $wrong
}

machine_has_no_python() {
    [ "$python_free" = yes ] || {
        echo 'not demanded (see --python-free)'
        return 77
    }
    {
        python_files
        python_packages
        [ "$deep" = no ] || renamed_interpreters
    } >"$work/pythons"
    [ ! -s "$work/pythons" ] || {
        cat "$work/pythons"
        return 1
    }
}

real_files() { # find over everything but the kernel's file systems, wherever it may look
    find / \( -path /proc -o -path /sys -o -path /dev \) -prune -o "$@" -print 2>/dev/null | only_others
}

python_files() { # interpreters, links to them even when dangling, libraries, standard libraries; gdb's printers are none
    real_files \( -name 'python*' -o -name 'pypy*' -o -name 'pip' -o -name 'pip[0-9]*' -o -name 'libpython*' \
        -o -name 'libpypy*' -o -name 'Python.framework' \) | while read -r path; do
        case ${path##*/} in
            Python.framework | libpython*.so* | libpython*.a | libpython*.dylib | libpypy*.so* | python[0-9]*.zip) ;;
            python | python[0-9] | python[0-9].[0-9]* | pypy | pypy[0-9]* | pip | pip[0-9]*) [ ! -d "$path" ] || [ -L "$path" ] || continue ;;
            *) [ -L "$path" ] || { [ -f "$path" ] && [ -x "$path" ]; } || continue ;;
        esac
        printf 'file: %s\n' "$path"
    done
    real_files -type d -name encodings | while read -r path; do
        for marker in os.py os.pyc site.py site.pyc; do
            [ ! -e "${path%/*}/$marker" ] || printf 'standard library: %s\n' "${path%/*}"
        done
    done | sort -u
}

python_packages() {
    records='/var/lib/dpkg/status /lib/apk/db/installed'
    for record in $records; do
        [ ! -r "$record" ] || awk '
            /^Package: |^P:/ { name = $0; sub(/^Package: |^P:/, "", name); if (/^P:/) give() }
            /^Status: .* installed$/ { give() }
            function give() { if (name ~ /^(lib)?(python|pypy)/) print "package: " name }' "$record"
    done
    ! has rpm || rpm -qa 2>/dev/null | grep -E '^(lib)?(python|pypy)[0-9-]' | sed 's/^/package: /'
    for record in /var/lib/pacman/local/python* /var/lib/pacman/local/pypy*; do
        [ ! -e "$record" ] || echo "package: ${record##*/}"
    done
}

renamed_interpreters() {
    real_files -type f -size +2000 \( -perm -100 -o -name '*.so*' -o -name '*.dylib' \) | while read -r path; do
        ! grep -q -e Py_InitializeFromConfig -e PYTHONHOME "$path" 2>/dev/null || printf 'interpreter by content: %s\n' "$path"
    done
}

machine_has_no_network() {
    [ "$offline" = yes ] || {
        echo 'not demanded (see --offline)'
        return 77
    }
    [ -r /proc/net/dev ] || {
        echo 'this system does not list its network cards in /proc'
        return 77
    }
    cards=$(sed -n '3,$s/^ *\([^:]*\):.*/\1/p' /proc/net/dev | grep -v -x lo)
    routes=$(awk 'NR > 1 && $1 != "lo"' /proc/net/route 2>/dev/null)
    [ -z "$cards$routes" ] || {
        printf '%s\n' "there is a network: $cards" "$routes"
        return 1
    }
}

server_starts() {
    [ "$started" = no ] || return 0
    # shellcheck disable=SC2086 # several words on purpose; names and numbers hold no blanks
    run_stigmer 300 server $port_options >"$work/start" 2>&1
    code=$?
    cat "$work/start"
    if [ "$code" -ne 0 ]; then
        echo "exit code $code"
        tail -n 3 "$home"/logs/*.log 2>/dev/null
        return 1
    fi
    started=yes
}

every_service_runs() {
    needs_start || return 1
    run_stigmer 30 server status --json >"$work/status.json" || echo "exit code $?"
    cat "$work/status.json"
    flatten_json "$work/status.json" >"$work/status" || return 1
    [ "$(value_at "$work/status" /state)" = running ] || return 1
    for name in $(component_names); do
        place=$(awk -F '\t' -v name="$name" '$1 ~ "^/services/[0-9]+/name$" && $2 == name { print $1 }' "$work/status")
        [ "${place:+$(value_at "$work/status" "${place%/name}/state")}" = running ] || {
            echo "$name is not running"
            return 1
        }
    done
}

ports_are_open() {
    needs_start || return 1
    while read -r name port; do
        echo "$name $port"
        listening "$port" || {
            echo "nobody listens on $port"
            return 1
        }
    done <"$work/ports"
}

product_works() {
    if [ "$(value_at "$work/index" /smoke/kind)" = none ]; then services_are_ready; else call_returns; fi
}

services_are_ready() { # what is demanded where there is nothing to call: that every service has proved itself ready
    needs_start || return 1
    echo 'no smoke call in this stack: readiness proofs only'
    run_stigmer 30 smoke >"$work/answer" 2>&1
    code=$?
    cat "$work/answer"
    case $code$(cat "$work/answer") in '0smoke: none'*) ;; *)
        echo "exit code $code; expected: 0, and a line that begins with 'smoke: none'"
        return 1
        ;;
    esac
    every_service_runs
}

call_returns() {
    needs_start || return 1
    tries=1
    until run_stigmer 120 smoke >"$work/answer" 2>&1; do
        cat "$work/answer"
        [ "$slow" = yes ] && [ "$tries" -lt 4 ] || return 1
        echo "refused, tried again: $tries"
        tries=$((tries + 1))
        sleep 5
    done
    cat "$work/answer"
    : "${execution:=$(sed -n 's/^ *execution: *\([^ ]*\) *$/\1/p' "$work/answer")}"
}

processes_are_ours_alone() {
    needs_start || return 1
    [ -d /proc/self/fd ] || has lsof || {
        echo 'this system has neither /proc nor lsof'
        return 77
    }
    sees_processes || return 1
    our_processes >"$work/ours"
    wrong=0
    while read -r pid executable; do
        printf '%s ' "${executable##*/}"
        touched_by "$pid" >"$work/touched" 2>"$work/untouchable"
        [ -s "$work/touched" ] || kill -0 "$pid" 2>/dev/null || continue
        [ -s "$work/touched" ] || {
            echo "cannot look into process $pid: $(cat "$work/untouchable")"
            wrong=1
        }
        grep -E -i "$PYTHON_PATH" "$work/touched" | only_others | sed "s,^,process $pid touches ," | grep . && wrong=1
    done <"$work/ours"
    found=$(wc -l <"$work/ours" | tr -d ' ') least=$(($(component_names | wc -l) + 1))
    echo "$found processes"
    [ "$found" -ge "$least" ] || {
        echo "at least $least were expected: the supervisor and its services"
        return 1
    }
    return $wrong
}

server_stops() {
    needs_start || return 1
    started=no
    run_stigmer 90 server stop || return 1
    nothing_is_left
}

nothing_is_left() {
    sees_processes || return 1
    our_processes >"$work/left"
    [ ! -s "$work/left" ] || {
        sed 's/^/still runs: /' "$work/left"
        return 1
    }
    while read -r name port; do
        ! listening "$port" || {
            echo "somebody still listens on port $port of $name"
            return 1
        }
    done <"$work/ports"
    run_stigmer 30 server status --json >"$work/status.json"
    code=$?
    [ "$code" -eq 3 ] || {
        echo "status gives exit code $code instead of 3"
        return 1
    }
}

# A store is an entry of the home in which services keep data. Which files it is made of is their own business: databases
# remove locks and journals when they close, and write tables anew under other names. What must survive is the store.

put_data() { # what a user keeps in the home
    mkdir -p "$home/workspace" && printf 'mine %s\n' "$nonce" >"$home/workspace/mine"
}

data_is_mine() {
    [ "$(cat "$home/workspace/mine")" = "mine $nonce" ]
}

stores() { # every store that has content
    (
        cd "$home" 2>/dev/null || exit
        for store in * .[!.]*; do
            case $store in bin | config.yaml | dist | logs | run | versions) continue ;; esac
            case $store in *-wal | *-shm | *-journal | *.lock | *.pid | *.sock) continue ;; esac
            [ -z "$(find "./$store" -type f -size +0 2>/dev/null | head -n 1)" ] || printf '%s\n' "$store"
        done
    )
}

single_files() { # STORE: the files in it that keep their content for good: itself, when it is one, and databases of SQLite
    (cd "$home" && find "./$1" -type f -size +0) | while read -r file; do
        [ "$file" != "./$1" ] && [ "$(dd if="$home/$file" bs=15 count=1 2>/dev/null | tr -d '\000')" != 'SQLite format 3' ] ||
            printf '%s\n' "$file"
    done
}

inode_of() {
    # shellcheck disable=SC2012 # only the number is read
    ls -i "$home/$1" 2>/dev/null | awk '{ print $1; exit }'
}

mark_stores() { # after a clean stop: by these marks a store is told from one that was made anew in its place
    missing_stores >"$work/lost"
    mkdir -p "$work/held"
    while read -r store; do
        [ ! -d "$home/$store" ] || : >"$home/$store/$MARK"
        single_files "$store" | while read -r file; do
            inode=$(inode_of "$file")
            ln "$home/$file" "$work/held/$inode" # so that no other file gets the number
            printf '%s %s\n' "$inode" "$file"
        done >>"$work/files"
        [ -z "$execution" ] || ! grep -q -r -F -e "$execution" "$home/$store" || printf '%s\n' "$store" >>"$work/knowing"
    done <"$work/stores"
}

missing_stores() {
    stores >"$work/now"
    grep -v -x -F -f "$work/now" "$work/stores" | sed 's/^/gone or empty: /'
}

replaced_stores() {
    while read -r store; do
        [ ! -d "$home/$store" ] || [ -e "$home/$store/$MARK" ] || echo "made anew: $store"
    done <"$work/stores"
    while read -r inode file; do
        [ "$(inode_of "$file")" = "$inode" ] || echo "made anew: $file"
    done <"$work/files"
    while read -r store; do
        grep -q -r -F -e "$execution" "$home/$store" || echo "the execution $execution is no longer in $store"
    done <"$work/knowing"
}

server_starts_again() {
    [ -s "$work/stores" ] || {
        echo 'not tried: the first start made no home'
        return 1
    }
    : >"$work/stopped"
    mark_stores
    server_starts || return 1
    find "$home/bin/" -newer "$work/stopped" | sed 's/^/written again: /' | grep . && return 1
    every_service_runs >/dev/null || {
        cat "$work/status.json"
        return 1
    }
}

state_survived() {
    needs_start || return 1
    {
        sed 's/$/ after the stop/' "$work/lost"
        missing_stores
        replaced_stores
    } | grep . && return 1
    paste -s -d ' ' "$work/stores"
    data_is_mine && product_works
}

no_python_was_called() {
    [ "$(head -n 1 "$work/tripped")" = "$work/tripwire/pip3 --control" ] || {
        echo 'the tripwire does not work'
        return 1
    }
    sed '1d; s/^/called: /' "$work/tripped" | grep . && return 1
    return 0
}

no_temporary_file_is_left() {
    left=$(ls -A "$work/tmp")
    [ -z "$left" ] || {
        printf 'left in TMPDIR: %s\n' "$left"
        return 1
    }
}

list_files() { # DIRECTORY: whoever writes, removes or adds a file changes a line of this; the number of names may change
    (cd "$1" && find . ! -type d -exec ls -li {} + | awk '{ $3 = ""; print }' | sort)
}

keg_is_unchanged() {
    list_files "$keg" >"$work/keg.now"
    grep -v -x -F -f "$work/keg.before" "$work/keg.now" | sed 's/^/new or changed: /' | grep . && return 1
    grep -v -x -F -f "$work/keg.now" "$work/keg.before" | sed 's/^/gone or changed: /' | grep . && return 1
    [ -z "$(find "$keg" -newer "$work/index")" ] || {
        echo 'something was written in the keg'
        return 1
    }
    echo "$(wc -l <"$work/keg.now" | tr -d ' ') files"
}

# --- the order ---------------------------------------------------------------------------------------------------------

find_keg() { # the keg around the command
    case $stigmer in /*) ;; *) stigmer=$PWD/$stigmer ;; esac
    [ -x "$stigmer" ] || refuse "$stigmer is not an executable file"
    [ -n "$keg" ] || keg=$(dirname "$(dirname "$(dirname "$(real_file "$stigmer")")")")
    keg=$(cd "$keg" 2>/dev/null && pwd -P)
    [ -f "$keg/libexec/payload.json" ] || refuse "there is no keg around $stigmer (see --keg)"
}

[ ! -e "${home:-/nowhere}" ] || refuse "$home exists already: the trial needs a home of its own"
if [ "$trials" = yes ] || [ -n "$bottle" ]; then
    [ -r "$(dirname "$0")/verify-trials.sh" ] || refuse 'verify-trials.sh must lie beside this script'
    # shellcheck source=scripts/verify-trials.sh
    . "$(dirname "$0")/verify-trials.sh"
fi
if [ -n "$bottle" ]; then
    [ -r "$bottle" ] || refuse "$bottle cannot be read"
    [ ! -e "${prefix:-/nowhere}/Cellar/$product" ] || refuse "$prefix holds a $product already"
else
    [ -n "$stigmer" ] || stigmer=${prefix:+$prefix/bin/$product}
    [ -n "$stigmer" ] || stigmer=$(command -v "$product") || refuse "there is no $product on PATH (see --stigmer)"
    find_keg
fi
: "${nonce:=$(date +%s)-$$}"

work=$(mktemp -d "${TMPDIR:-/tmp}/verify-stigmer.XXXXXX") || exit 2
work=$(cd "$work" && pwd -P)
: "${home:=$work/the home}" # with a blank, as some have
mkdir -p "$(dirname "$home")" "$work/user" "$work/tmp" || exit 2
home=$(cd "$(dirname "$home")" && pwd -P)/$(basename "$home")
: "${prefix:=$work/prefix}"

clean_up() {
    [ "$started" = no ] || run_stigmer 90 server stop >/dev/null 2>&1
    our_processes | while read -r pid _; do kill -9 "$pid" 2>/dev/null; done
    [ -z "$bottle" ] || remove_kegs
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

begin_report
if [ -n "$bottle" ]; then
    [ "$python_free" = no ] || check 'before the installation there is no Python on the machine' machine_has_no_python
    check 'the bottle installs' bottle_installs
    [ -n "$keg" ] || {
        end_report
        exit 1
    }
fi
lay_tripwire
check 'the index names the components' index_is_read
list_files "$keg" >"$work/keg.before"
check 'the version is the expected one' version_is_right
check 'asking for version, help and completions leaves the home untouched' home_stays_untouched
check 'completions and manual page lie where shells and man look' shells_and_man_find_theirs
check 'every file has its checksum' checksums_hold
check 'the keg holds what its index names and nothing else' files_are_those_of_the_index
check 'modes and links are safe' modes_are_right
check 'the programs are made for this machine' programs_are_for_this_machine
check 'there is no Python on the machine but in the keg' machine_has_no_python
check 'there is no network' machine_has_no_network
choose_ports
check 'the server starts' server_starts
check 'every service runs' every_service_runs
check 'every port is open' ports_are_open
call='the end-to-end call returns' again='the call returns'
[ "$(value_at "$work/index" /smoke/kind)" != none ] || call='every service is ready' again='every service is ready'
check "$call" product_works
check 'no process touches a Python outside the keg' processes_are_ours_alone
[ ! -d "$home" ] || put_data
stores >"$work/stores"
touch "$work/lost" "$work/files" "$work/knowing"
check 'the server stops and leaves no process and no port' server_stops
check 'the server starts again, without unpacking anew' server_starts_again
check "the state survived, and $again again" state_survived
if [ "$trials" = yes ]; then
    check 'killed, the supervisor leaves no process and no port' killed_supervisor_leaves_nothing
    check 'the server starts again, and makes a damaged component anew' damage_is_healed
    check "after that the state is there, and $again" state_survived
    check 'the keg is unchanged by the trials' keg_is_unchanged
    if [ -n "$bottle" ]; then
        check 'the next version installs while the server runs' next_version_installs
        check 'the next version takes over, in a poisoned environment' next_version_takes_over
        check "after the upgrade the state is there, and $again" state_survived
        check 'after the upgrade no process touches a Python outside the keg' processes_are_ours_alone
    fi
fi
check 'the server stops again' server_stops
check 'no Python was called' no_python_was_called
check 'no temporary file is left' no_temporary_file_is_left
check 'the keg is unchanged' keg_is_unchanged
[ -z "$bottle" ] || check 'the removal leaves the user'\''s data and nothing else' removal_leaves_the_data
end_report
[ "$failures" -eq 0 ]
