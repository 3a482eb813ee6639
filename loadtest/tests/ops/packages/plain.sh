#!/bin/bash
# Installs, runs and purges the Debian packages on a system without systemd. The test reads the printed results.

. /packages/lifecycle.sh
export DEBIAN_FRONTEND=noninteractive
ip link set lo up
# From an installation without a package.
mkdir /etc/fleetgauge
echo 'interval = "1s"' >/etc/fleetgauge/agent.toml
everything >/packages/before

echo "systemctl=$(command -v systemctl || echo absent)"
outcome install apt-get install -q -y -o Dpkg::Options::=--force-confold /packages/old/*.deb
echo "settings_before_install=$(tr = : </etc/fleetgauge/agent.toml)"
outcome join fleetgauge-agent join 127.0.0.1:45678
# As another service manager would, as the users that the packages created.
setpriv --reuid=fleetgauge-collector --regid=fleetgauge-collector --clear-groups \
    fleetgauge-collector --config /etc/fleetgauge/collector.toml >&2 &
collector=$!
setpriv --reuid=fleetgauge-agent --regid=fleetgauge-agent --clear-groups \
    fleetgauge-agent --config /etc/fleetgauge/agent.toml >&2 &
agent=$!
echo "reports=$(yes_if until_so reports)"
kill "$agent" "$collector"
wait
outcome purge apt-get purge -q -y $both
echo "left_behind=$(left_behind)"
