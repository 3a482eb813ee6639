#!/bin/bash
# Runs as a service in a container that systemd boots with the shipped units. Prints the results, one
# NAME=VALUE per line.

both="fleetgauge-collector fleetgauge-agent"

pid() { systemctl show -P MainPID "fleetgauge-$1"; }
show() { systemctl show -P "$1" $both | xargs; }
# Adds lines to a unit: drop_in PROGRAM LINE...
drop_in() {
    mkdir -p "/etc/systemd/system/fleetgauge-$1.service.d"
    { echo '[Service]' && printf '%s\n' "${@:2}"; } >"/etc/systemd/system/fleetgauge-$1.service.d/test.conf"
    systemctl daemon-reload
}
page() { curl -s http://127.0.0.1:1234/metrics/agents; }
# Waits until a command succeeds, for at most 30 s.
until_so() { for _ in $(seq 300); do "$@" && return; sleep 0.1; done; }
shown() { page | grep -q agent=; }
restarted() { [ "$(systemctl show -P NRestarts "$1")" = 1 ] && systemctl -q is-active "$1"; }

ip link set lo up

systemd-sysusers
drop_in agent Environment=FLEETGAUGE_COLLECTORS=default,+processes
systemctl start $both
echo "started=$(show ActiveState)"
until_so shown
echo "series=$(page | grep -c ^host_)"
# The root is an overlay, which node_exporter excludes.
writable() { page | grep '^node_filesystem_readonly{.*mountpoint="/run"' | grep -c ' 0$'; }
network() { page | grep -c '^node_network_up{.*device="lo"'; }
# The agent's own process and init, at least.
init() { page | awk '/^node_processes_pids[{ ]/ { found = $NF > 1 } END { print found + 0; exit !found }'; }
# A collector may be late in the first report.
for line in writable network init; do
    until_so "$line" >/dev/null
    echo "$line=$("$line")"
done
echo "roots=$(ps -o user= -p "$(pid collector)" -p "$(pid agent)" | grep -c root)"
echo "filesystem=$(page | grep -c host_filesystem_usage_ratio{)"
systemctl reload fleetgauge-collector fleetgauge-agent
echo "reloaded=$(show ActiveState)"

# The watchdog restarts a frozen program, and no running one.
drop_in collector WatchdogSec=3s
drop_in agent WatchdogSec=3s RestartSec=1s
systemctl restart $both
sleep 5
echo "running=$(show NRestarts)"
kill -STOP "$(pid collector)" "$(pid agent)"
until_so restarted fleetgauge-collector
until_so restarted fleetgauge-agent
echo "frozen=$(show NRestarts)"
until_so shown
echo "series_after=$(page | grep -c ^host_)"

# The drain of an agent that does not disconnect takes longer than TimeoutStopSec=, so the collector
# asks systemd for more time.
drop_in collector TimeoutStopSec=1s Environment=FLEETGAUGE_DRAIN_TIMEOUT=4s
systemctl stop fleetgauge-agent
systemctl restart fleetgauge-collector
/usr/bin/fleetgauge-agent --id stays --log off &
until_so shown
kill -STOP %1
begun=$(date +%s%N)
systemctl stop fleetgauge-collector
echo "stop_ms=$((($(date +%s%N) - begun) / 1000000))"
echo "stopped=$(systemctl show -P Result fleetgauge-collector)"
kill -KILL %1

# With activated sockets no connection is refused during a restart.
systemctl start fleetgauge-collector-agents.socket fleetgauge-collector-http.socket
until_so curl -sf -o /dev/null http://127.0.0.1:1234/readyz
for _ in $(seq 60); do
    # 7: could not connect. A request that the stopping collector aborts has another code.
    curl -s -o /dev/null --max-time 10 http://127.0.0.1:1234/healthz || echo "curl $?"
    sleep 0.05
done >/run/asked &
systemctl restart fleetgauge-collector
wait %%
echo "refused=$(grep -c '^curl 7$' /run/asked)"
echo "cut_off=$(grep -vc '^curl 7$' /run/asked)"
systemctl stop $both fleetgauge-collector-{agents,http}.socket
echo "results=$(show Result)"

# A program whose port is in use keeps trying to start, and succeeds once the port is free.
drop_in collector RestartSec=100ms
/usr/bin/fleetgauge-collector --http-listen 127.0.0.1:0 --log off &
taker=$!
taken() { ss -Hltn | grep -q ':45678 '; }
until_so taken
systemctl start --no-block fleetgauge-collector
tried_often() { [ "$(systemctl show -P NRestarts fleetgauge-collector)" -ge 10 ]; }
until_so tried_often
kill "$taker"
started() { systemctl -q is-active fleetgauge-collector; }
until_so started
echo "port_free=$(systemctl show -P ActiveState fleetgauge-collector)"
systemctl stop fleetgauge-collector
