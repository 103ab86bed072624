#!/bin/sh
# In the virtual machine: pour the bottle where brew pours it, run the script as the user, tell its exit code, power off.
# Everything that is told has the seconds since the machine was switched on.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec 3>/dev/guest-marks 4>/dev/guest-report 5>/dev/guest-errors

mark() {
    read -r uptime _ </proc/uptime
    echo "$uptime $*" >&3
}

. /run/trial/facts # user, uid, prefix, name, version
mark boot "$(uname -srm)"
mkdir -p "$prefix/Cellar" "$prefix/bin" "$prefix/opt" "/home/$user"
tar -x -f /dev/vdb -C "$prefix/Cellar"
chown -R "$uid:$uid" /home
for command in "$prefix/Cellar/$name/$version/bin"/*; do
    ln -s "../Cellar/$name/$version/bin/${command##*/}" "$prefix/bin/"
done
ln -s "../Cellar/$name/$version" "$prefix/opt/$name"
chown -h "$uid:$uid" "$prefix/bin"/* "$prefix/opt"/*
mark pour "$(du -sm "$prefix" | cut -f 1) MB"
cd "/home/$user" || exit 1
setpriv --reuid="$uid" --regid="$uid" --clear-groups --inh-caps=-all --bounding-set=-all \
    env -i HOME="/home/$user" PATH="$prefix/bin:/usr/local/bin:/usr/bin:/bin" LANG=C.UTF-8 \
    sh /run/trial/command >&4 2>&5 3>&- 4>&- 5>&-
mark exit $?
sync
echo o >/proc/sysrq-trigger
while :; do sleep 1; done
