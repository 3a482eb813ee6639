#!/bin/sh
# Adds and removes network devices and mounts every few seconds, as containers do, until
# interrupted. Needs root.
set -u
ids=""
remove() {
    ip link del "veth$1"
    umount "/srv/volumes/$1"
    rmdir "/srv/volumes/$1"
}
trap 'for id in $ids; do remove "$id"; done; exit' INT TERM
while true; do
    id=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
    ip link add "veth$id" type veth peer name "vp$id"
    ip link set "veth$id" up
    mkdir -p "/srv/volumes/$id"
    mount -t tmpfs -o size=1m tmpfs "/srv/volumes/$id"
    ids="$ids $id"
    # shellcheck disable=SC2086 # one word an id
    set -- $ids
    if [ $# -gt 6 ]; then
        remove "$1"
        shift
        ids="$*"
    fi
    sleep $((3 + $(od -An -N1 -tu1 /dev/urandom) % 5))
done
