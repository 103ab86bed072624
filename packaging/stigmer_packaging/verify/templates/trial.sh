#!/bin/sh
# In the virtual machine: run the script as the guest's user, tell its exit code, power off.
# Everything that is told has the seconds since the machine was switched on.
# shellcheck disable=SC2154 # the facts assign what is not assigned here
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec 3>/dev/guest-marks 4>/dev/guest-report 5>/dev/guest-errors

mark() {
    read -r uptime _ </proc/uptime
    echo "$uptime $*" >&3
}

# shellcheck source=/dev/null
. /run/trial/facts # user, uid, prefix
mark boot "$(uname -srm)"
mkdir -p "/home/$user" "$prefix"
chown -R "$uid:$uid" /home
chmod 444 /dev/vdb # the bottle's tar
cd "/home/$user" || exit 1
# The user's files and the keg are on one file system, as on most machines.
setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all --bounding-set=-all \
    env -i HOME="/home/$user" TMPDIR="/home/$user" PATH="$prefix/bin:/usr/local/bin:/usr/bin:/bin" LANG=C.UTF-8 \
    sh /run/trial/command >&4 2>&5 3>&- 4>&- 5>&-
mark exit $?
sync
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
