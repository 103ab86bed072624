# shellcheck shell=sh disable=SC2034,SC2154 # sourced by verify-install.sh, whose functions and variables it uses
# What a throw-away installation has to endure: install, kill -9, damage, upgrade, removal. POSIX sh.
#
# It ends processes of the trial, changes files in the trial's home, and removes what it has installed itself; nothing else.

: "${PATIENCE:=60}" # seconds for what a killed supervisor leaves to come to its end; tests have less

# --- install and remove ------------------------------------------------------------------------------------------------

pour() { # BOTTLE: as brew does: unpack it into the Cellar and link it into the prefix; sets keg and stigmer
    mkdir -p "$prefix/Cellar/.pouring" || return 1
    prefix=$(cd "$prefix" && pwd -P)
    if [ "$(od -A n -t x1 -N 2 "$1" | tr -d ' ')" = 1f8b ]; then
        { gzip -dc "$1" || echo "gzip: $?" >"$work/gunzip"; } | tar -xf - -C "$prefix/Cellar/.pouring" || return 1
        [ ! -e "$work/gunzip" ] || return 1 # a bad checksum comes last, when tar has ended already
    else
        tar -xf "$1" -C "$prefix/Cellar/.pouring" || return 1
    fi
    poured=$(cd "$prefix/Cellar/.pouring" && echo */*)
    [ -x "$prefix/Cellar/.pouring/$poured/bin/$product" ] || {
        echo "the bottle does not hold one keg of $product: $poured"
        return 1
    }
    mkdir -p "$prefix/Cellar/$product"
    mv "$prefix/Cellar/.pouring/$poured" "$prefix/Cellar/$product/" || return 1
    rm -rf "$prefix/Cellar/.pouring"
    link_keg "$prefix/Cellar/$product/${poured#*/}"
}

link_keg() { # KEG: link it in place of whatever version was linked
    unlink_kegs
    keg=$1 stigmer=$prefix/bin/$product
    mkdir -p "$prefix/opt" && ln -s "$keg" "$prefix/opt/$product"
    (cd "$keg" && find bin etc share ! -type d 2>/dev/null) | while read -r path; do
        mkdir -p "$prefix/${path%/*}" && ln -s "$keg/$path" "$prefix/$path"
    done
}

unlink_kegs() {
    find "$prefix" -path "$prefix/Cellar" -prune -o -type l -print | while read -r link; do
        case $(readlink "$link") in "$prefix/Cellar/$product/"*) ;; *) continue ;; esac
        rm -f "$link"
        folder=${link%/*}
        (cd "$prefix" && rmdir -p "${folder#"$prefix"/}" 2>/dev/null)
    done
}

remove_kegs() {
    [ -d "$prefix/Cellar" ] || return 0
    unlink_kegs
    rm -rf "$prefix/Cellar/$product" "$prefix/Cellar/.pouring"
}

bottle_installs() {
    pour "$bottle" && echo "$keg"
}

removal_leaves_the_data() {
    list_files "$home" >"$work/home.before"
    data_is_mine || {
        echo 'there is no data that could be kept'
        return 1
    }
    remove_kegs
    { list_files "$home" | cmp -s - "$work/home.before" && data_is_mine; } || {
        echo "the user's data changed"
        return 1
    }
    left=$(find "$prefix" "$work/user" -iname "*$product*")$(find "$work/user" ! -path "$work/user")
    [ -z "$left" ] || {
        printf 'left behind: %s\n' "$left"
        return 1
    }
    echo "$(wc -l <"$work/home.before" | tr -d ' ') files of the user"
}

# --- kill and damage ---------------------------------------------------------------------------------------------------

killed_supervisor_leaves_nothing() {
    needs_start || return 1
    every_service_runs >/dev/null
    supervisor=$(value_at "$work/status" /supervisor_pid)
    our_processes | grep "^$supervisor " || {
        echo "status names as supervisor a process that is not of this trial: $supervisor"
        return 1
    }
    kill -9 "$supervisor" || return 1
    started=no
    deadline=$(awk -v now="$(now)" -v patience="$PATIENCE" 'BEGIN { print now + patience }')
    while [ -n "$(our_processes)" ] && awk -v now="$(now)" -v end="$deadline" 'BEGIN { exit !(now < end) }'; do
        sleep 0.2
    done
    nothing_is_left
}

damage_is_healed() {
    [ "$started" = no ] || {
        echo 'not tried: the server still runs'
        return 1
    }
    entry=$(awk -F '\t' '$1 ~ "^/components/[0-9]+/entry$" { print $2 }' "$work/index" | tail -n 1)
    # By another file: the home's may be a second name of the keg's.
    dd if="$keg/libexec/components/$entry" of="$home/damaged" bs=100 count=1 2>/dev/null
    chmod 755 "$home/damaged" && mv -f "$home/damaged" "$home/bin/$entry" || return 1
    ! cmp -s "$keg/libexec/components/$entry" "$home/bin/$entry" || return 1
    server_starts || return 1
    cmp "$keg/libexec/components/$entry" "$home/bin/$entry" || return 1
    every_service_runs >/dev/null || {
        cat "$work/status.json"
        return 1
    }
}

# --- upgrade -----------------------------------------------------------------------------------------------------------

next_version_installs() { # what brew upgrade does: the next keg, its links, and the old keg gone
    needs_start || return 1
    old=$keg
    if [ -n "$next" ]; then pour "$next"; else make_next_keg; fi || return 1
    rm -rf "$old"
    flatten_json "$keg/libexec/payload.json" >"$work/index" || return 1
    list_files "$keg" >"$work/keg.before"
    was=$expected expected=$(value_at "$work/index" /version)
    every_service_runs >/dev/null || {
        cat "$work/status.json"
        return 1
    }
    [ "$(value_at "$work/status" /version)" = "$was" ] || {
        echo "$(value_at "$work/status" /version) runs instead of $was"
        return 1
    }
    echo "$was runs, $expected is installed"
}

make_next_keg() { # from the keg: another version, and its smallest file changed
    version=$(echo "$expected" | awk -F . -v OFS=. '{ $NF = $NF + 1; print }')
    new=$prefix/Cellar/$product/$version
    cp -RPl "$keg" "$new" 2>/dev/null || { rm -rf "$new" && cp -RPp "$keg" "$new"; } || return 1
    awk -F '\t' '
        $1 ~ "^/components/[0-9]+/files/[0-9]+/0$" { path = $2 }
        $1 ~ "^/components/[0-9]+/files/[0-9]+/1$" { print $2, path }' "$work/index" | sort -n >"$work/sizes"
    changed=$(sed -n '1s/^[0-9]* //p' "$work/sizes")
    rewrite "$new/libexec/components/$changed" awk '{ print } END { print "" }'
    # shellcheck disable=SC2016 # awk's own
    rewrite "$new/libexec/payload.json" awk -v version="$version" -v path="$changed" \
        -v size="$(wc -c <"$new/libexec/components/$changed" | tr -d ' ')" \
        -v sum="$(sum_of "$new/libexec/components/$changed")" '
        /^ "version": / { sub(/: ".*"/, ": \"" version "\"") }
        row == 2 { sub(/".*"/, "\"" sum "\""); row = 0 }
        row == 1 { sub(/[0-9]+/, size); row = 2 }
        /^   "files": / { files = 1 }
        /^   \]/ { files = 0 }
        files && index($0, "\"" path "\",") { row = 1 }
        { print }'
    # shellcheck disable=SC2016 # awk's own
    rewrite "$new/libexec/SHA256SUMS" awk -v index_sum="$(sum_of "$new/libexec/payload.json")" \
        -v path="libexec/components/$changed" -v sum="$(sum_of "$new/libexec/components/$changed")" '
        substr($0, 67) == "libexec/payload.json" { $0 = index_sum "  libexec/payload.json" }
        substr($0, 67) == path { $0 = sum "  " path }
        { print }'
    link_keg "$new"
}

rewrite() { # FILE COMMAND...: give a file what the command makes of it, and leave its other names as they are
    file=$1
    shift
    "$@" <"$file" >"$work/rewritten" && mode=$(ls -l "$file") || return 1
    rm -f "$file" && cp "$work/rewritten" "$file" || return 1
    case $mode in -rwx*) chmod 755 "$file" ;; *) chmod 644 "$file" ;; esac
}

sum_of() {
    if has sha256sum; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi | cut -c 1-64
}

next_version_takes_over() { # in an environment and under a umask that would break what trusts them
    needs_start || return 1
    poison
    outer=$(umask)
    umask 077
    poisoned=yes
    # shellcheck disable=SC2086 # several words on purpose; names and numbers hold no blanks
    run_stigmer 300 server restart $port_options
    code=$?
    umask "$outer"
    poisoned=no
    [ "$code" -eq 0 ] || {
        echo "exit code $code"
        tail -n 3 "$home"/logs/*.log
        return 1
    }
    every_service_runs >/dev/null || {
        cat "$work/status.json"
        return 1
    }
    [ "$(value_at "$work/status" /version)" = "$expected" ] || {
        echo "$(value_at "$work/status" /version) runs instead of $expected"
        return 1
    }
    awk -F '\t' '
        $1 ~ "^/components/[0-9]+/files/[0-9]+/0$" { path = $2 }
        $1 ~ "^/components/[0-9]+/files/[0-9]+/1$" { print $2, path }' "$work/index" | while read -r size path; do
        [ "$(wc -c <"$home/bin/$path" | tr -d ' ')" = "$size" ] || echo "not of the next version: $path"
    done | grep . && return 1
    data_is_mine && services_see_no_poison
}

poison() { # libraries that are none, and a Python that ends whoever loads it
    mkdir -p "$work/poison/encodings"
    for module in encodings/__init__ sitecustomize os site json; do
        echo 'raise SystemExit("poisoned")' >"$work/poison/$module.py"
    done
    for library in libssl.so.3 libcrypto.so.3 libexpat.so.1 libffi.so.8 libsqlite3.so.0 libpython3.11.so.1.0 \
        libpython3.12.so.1.0 libpython3.13.so.1.0 libpython3.14.so.1.0; do
        echo poison >"$work/poison/$library"
    done
}

services_see_no_poison() {
    [ -d /proc/self/fd ] || return 0 # nobody else tells
    awk -F '\t' '$1 ~ "^/services/[0-9]+/pid$" { print $2 }' "$work/status" >"$work/pids"
    while read -r pid; do
        tr '\0' '\n' <"/proc/$pid/environ" >"$work/environment" || return 1
        ! grep -F "$work/poison" "$work/environment" || {
            echo "in the environment of service process $pid"
            return 1
        }
    done <"$work/pids"
    [ -s "$work/pids" ]
}
