#!/bin/bash
# Installs, upgrades and removes the rpm packages under systemd. The test reads the printed results. Dependencies are not
# checked, because the rpm database of a Debian system does not know its libraries.

. /packages/lifecycle.sh
exec 2>&1
ip link set lo up
# Systems with rpm have these directories.
mkdir -p /usr/share/fish/vendor_completions.d /usr/share/licenses /usr/share/zsh/site-functions
everything >/packages/before

outcome install rpm -i --nodeps /packages/old/*.rpm
echo "after_install=$(state $both)"
echo "missing_files=$(missing_files /usr/share/zsh/site-functions | tail -n 1)"
start

before_upgrade
outcome upgrade rpm -U --nodeps /packages/new/*.rpm
after_upgrade

outcome remove rpm -e --nodeps $both
echo "after_remove=$(systemctl is-active $both | xargs)"
echo "left_behind=$(left_behind)"
