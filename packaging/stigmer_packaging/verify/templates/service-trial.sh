#!/bin/sh
# In a virtual machine with systemd: install the keg's unit as `brew services start` does, for a user who lingers, and
# show that it starts, comes back after a crash, is there again after a reboot, fails beside a server that runs already,
# and stops its services in their order. Run by systemd at every boot.
# shellcheck disable=SC2154 # the facts assign what is not assigned here
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec 3>/dev/guest-marks 4>/dev/guest-report 5>/dev/guest-errors
# user, uid, prefix, name, version, nonce
# shellcheck source=/dev/null
. /run/trial/facts
kept=/var/lib/service-trial # what outlives the reboot
unit=homebrew.$name.service
stigmer=$prefix/bin/$name
PATIENCE=300 # seconds for a start

now() {
    read -r uptime _ </proc/uptime
    echo "$uptime"
}

as_user() { # COMMAND...: as the user, with the user's own systemd
    setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all \
        env -i HOME="/home/$user" XDG_RUNTIME_DIR="/run/user/$uid" PATH="$prefix/bin:/usr/bin:/bin" LANG=C.UTF-8 "$@" </dev/null
}

check() { # NAME FUNCTION
    number=$(($(cat "$kept/number") + 1))
    echo "$number" >"$kept/number"
    began=$(now) result=ok
    detail=$("$2" 2>&1) || result='not ok'
    seconds=$(awk -v from="$began" -v to="$(now)" 'BEGIN { printf "%.2f", to - from }')
    detail=$(printf '%s' "$detail" | tail -n 20 | tr -d '\000-\010\013-\037\177' | sed 's/\\/\\\\/g; s/"/\\"/g' | awk '{ printf "%s%s", (NR > 1 ? "\\n" : ""), $0 }')
    printf '%s %s - %s\n  ---\n  seconds: %s\n  detail: "%s"\n  ...\n' "$result" "$number" "$1" "$seconds" "$detail" >&4
}

becomes_ready() { # another process than the one that was killed, with all services running
    end=$(awk -v now="$(now)" -v patience="$PATIENCE" 'BEGIN { print int(now + patience) }')
    while now=$(now) && [ "${now%.*}" -lt "$end" ]; do
        pid=$(main_pid)
        if [ "${pid:-0}" -gt 0 ] && [ "$pid" != "$(cat "$kept/killed" 2>/dev/null)" ] &&
            as_user "$stigmer" server status >"$kept/status" 2>&1; then
            echo "process $pid"
            cat "$kept/status"
            return 0
        fi
        sleep 1
    done
    cat "$kept/status"
    as_user systemctl --user status "$unit"
    return 1
}

main_pid() {
    as_user systemctl --user show --property=MainPID --value "$unit" 2>/dev/null
}

# What lingering gives: without it a user's services wait for a login.
user_manager_runs() {
    grep -q "^$user:" /etc/shadow || echo "$user:*:20000:0:99999:7:::" >>/etc/shadow # or PAM knows no such user
    loginctl enable-linger "$user" || return 1
    tries=0
    until as_user systemctl --user is-system-running 2>&1 | grep -q -e running -e degraded; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || {
            systemctl status "user@$uid.service"
            return 1
        }
        sleep 1
    done
}

service_installs() {
    folder=/home/$user/.config/systemd/user
    as_user mkdir -p "$folder" || return 1
    # brew replaces the placeholder when it pours
    sed "s,@@HOMEBREW_PREFIX@@,$prefix,g" "$prefix/opt/$name/$unit" >"/run/$unit" || return 1
    as_user cp "/run/$unit" "$folder/" || return 1
    as_user systemctl --user daemon-reload && as_user systemctl --user enable --now "$unit"
}

bottle_is_poured() {
    as_user mkdir -p "$prefix/Cellar" "$prefix/bin" "$prefix/opt" || return 1
    as_user tar -x -f /dev/vdb -C "$prefix/Cellar" || return 1
    as_user ln -s "../Cellar/$name/$version" "$prefix/opt/$name" &&
        as_user ln -s "../Cellar/$name/$version/bin/$name" "$prefix/bin/$name"
}

comes_back_after_a_crash() {
    main_pid >"$kept/killed"
    kill -9 "$(cat "$kept/killed")" && becomes_ready
}

fails_beside_another_server() { # and leaves that one alone
    as_user systemctl --user stop "$unit" && as_user "$stigmer" server >/dev/null || return 1
    as_user systemctl --user start "$unit" && return 1
    as_user systemctl --user show --property=NRestarts "$unit" | grep -x 'NRestarts=0' || return 1
    as_user "$stigmer" server status && as_user "$stigmer" server stop && as_user systemctl --user start "$unit"
}

logged() { # SERVICE: what it printed since the stop began
    awk -v since="$since" '$1 >= since' "/home/$user/.$name/logs/$1.log" 2>/dev/null
}

stopped_in_order() { # by the services' own logs: each began to stop when those before it had ended, and missed nobody
    awk '/^   "name": / { name = $2 } /^   "stop_order": / { print $2 + 0, name }' "$prefix/opt/$name/libexec/payload.json" |
        tr -d '",' | sort -r -n >/run/orders
    lowest=$(tail -n 1 /run/orders | cut -d ' ' -f 1)
    missed=0
    : >/run/spans
    while read -r order service; do
        logged "$service" | awk -v about="$order $service" '
            NR == 1 { first = $1 } { last = $1 } END { print about, first, last }' >>/run/spans
        [ "$order" -gt "$lowest" ] && logged "$service" | grep -i -E 'connection (error|refused)|rpc errored' && missed=1
    done </run/orders
    cat /run/spans
    [ "$missed" -eq 0 ] && awk '
        $3 == "" { next }
        $1 < order { ended = latest }
        { order = $1 }
        $3 < ended { early = 1 }
        $4 > latest { latest = $4 }
        END { exit early }' /run/spans
}

stops_for_good() {
    since=$(date -u +%Y-%m-%dT%H:%M:%S)
    as_user systemctl --user disable --now "$unit" || return 1
    as_user "$stigmer" server status
    [ $? -eq 3 ] || return 1
    stopped_in_order || return 1
    for process in /proc/[0-9]*; do
        case $(readlink "$process/exe") in "$prefix"/* | "/home/$user/.$name"/*) echo "$process" ;; esac
    done | grep . && return 1
    return 0
}

end() {
    echo "$(now) exit $1" >&3
    sync
    echo o >/proc/sysrq-trigger
    sleep 60
}

if [ ! -d "$kept" ]; then
    mkdir -p "$kept" "/home/$user" "$prefix"
    echo 0 >"$kept/number"
    chown -R "$uid:$uid" /home
    chmod 444 /dev/vdb
    echo "$(now) boot $(uname -srm)" >&3
    printf 'TAP version 13\n# BEGIN %s\n' "$nonce" >&4
    check 'the bottle is poured' bottle_is_poured
    check 'the user has a systemd without being logged in' user_manager_runs
    check 'the service is installed and started' service_installs
    check 'the service gets ready' becomes_ready
    check 'killed, the service comes back' comes_back_after_a_crash
    cat /proc/sys/kernel/random/boot_id >"$kept/boot"
    rm -f "$kept/killed"
    sync
    systemctl reboot
    exit 0
fi
booted_again() {
    ! grep -x -F -f "$kept/boot" /proc/sys/kernel/random/boot_id && cat /proc/sys/kernel/random/boot_id
}
check 'the machine boots again' booted_again
check 'after the reboot the service is there without anybody' becomes_ready
check 'beside a server that runs already the start fails' fails_beside_another_server
check 'disabled, it stops in order and leaves no process' stops_for_good
printf '1..%s\n# END %s\n' "$(cat "$kept/number")" "$nonce" >&4
end 0
