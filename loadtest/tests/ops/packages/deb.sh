#!/bin/bash
# Installs, upgrades and removes the Debian packages under systemd. The test reads the printed results.

. /packages/lifecycle.sh
exec 2>&1
export DEBIAN_FRONTEND=noninteractive
ip link set lo up
everything >/packages/before

outcome install apt-get install -q -y /packages/old/fleetgauge-agent.deb /packages/old/fleetgauge-collector.deb
echo "after_install=$(state $both)"
echo "missing_files=$(missing_files /usr/share/zsh/vendor-completions | tail -n 1)"
start

before_upgrade
outcome upgrade apt-get install -q -y -o Dpkg::Options::=--force-confold /packages/new/*.deb
after_upgrade
echo "new_defaults=$(find /etc/fleetgauge -name '*.dpkg-dist' | wc -l)"
apt-get install -q -y --reinstall -o Dpkg::Options::=--force-confold /packages/new/fleetgauge-agent.deb
echo "reinstall=$? $(systemctl is-active fleetgauge-agent)"

outcome remove apt-get remove -q -y $both
echo "after_remove=$(systemctl is-active $both | xargs)"
echo "settings_after_remove=$(kept)"
apt-get purge -q -y $both
echo "left_behind=$(left_behind)"
