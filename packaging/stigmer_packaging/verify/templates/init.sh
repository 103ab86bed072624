#!/bin/busybox sh
# The first program of a virtual machine: put a root together that forgets, and hand over to the program in it.
export PATH=/bin
/bin/busybox mkdir -p /proc /sys /dev /lower /upper /new
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=90%,mode=755 upper /upper
for module in /modules/*.ko; do insmod "$module"; done

value() { # of a word NAME=VALUE on the kernel's command line
    # shellcheck disable=SC2013 # the kernel's command line is words
    for word in $(cat /proc/cmdline); do
        case $word in "$1"=*) echo "${word#*=}" ;; esac
    done
}

for port in /sys/class/virtio-ports/*; do # a port has a name on the host, and a number here
    read -r name <"$port/name" && ln -s "${port##*/}" "/dev/guest-$name"
done

if [ "$(value guest)" = probe ]; then
    echo alive >/dev/guest-marks
    sync
    echo o >/proc/sysrq-trigger
    sleep 60
fi

if [ -b /dev/vdc ]; then # a disk that remembers, over a reboot; empty at first
    mount -t ext4 /dev/vdc /upper 2>/dev/null || { mke2fs /dev/vdc >/dev/null && mount -t ext4 /dev/vdc /upper; }
fi
mkdir -p /upper/files /upper/work /upper/home
mount -t squashfs -o ro /dev/vda /lower
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /new
mount --bind /upper/home /new/home # not through the overlay: as fast as the memory it is
mount -t tmpfs -o mode=755 run /new/run
mount -t tmpfs -o mode=1777 tmp /new/tmp
mkdir -p /dev/shm /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t devpts pts /dev/pts
ln -sf /proc/self/fd /dev/fd
hostname guest
ip link set lo up
cp -r /trial /new/run/trial
if [ -f /trial/trial.service ]; then # for systemd, which keeps the /run it finds
    mkdir -p /new/run/systemd/system/default.target.wants
    cp /trial/trial.service /new/run/systemd/system/
    ln -s ../trial.service /new/run/systemd/system/default.target.wants/trial.service
fi
for each in proc sys dev; do mount --move "/$each" "/new/$each"; done
# shellcheck disable=SC2046 # several words
exec switch_root /new $(cat /trial/first-program)
