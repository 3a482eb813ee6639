#!/usr/bin/env python3
"""The server that fleetgauge replaces, written anew from its description.

A thread for each client reads JSON messages and sets a gauge for each value, labelled with the number that the
client gives itself. The sleep after every message is left out: with it, data would queue up and nothing could be
compared. The rest is as it was: a message is whatever one read returns, and a client that has left keeps its series.

Needs prometheus_client: apt-get install python3-prometheus-client, or pip install prometheus-client.

usage: old_server.py AGENTS_PORT HTTP_PORT [--quiet]
"""

import json
import socket
import sys
import threading

from prometheus_client import Gauge, start_http_server

MESSAGE_BYTES = 1024
VALUES = ("cpu", "ram", "disk", "ram_total", "ram_available", "ram_used")

gauges = {name: Gauge(name, f"The client's {name}", ["client_no"]) for name in VALUES}
connected = Gauge("clients_connected", "Clients that are connected")


def serve(client, say):
    connected.inc()
    with client:
        while data := client.recv(MESSAGE_BYTES):
            record = json.loads(data)
            say(record)
            for name in VALUES:
                gauges[name].labels(client_no=record["client_no"]).set(record[name])
    connected.dec()


def main():
    agents_port, http_port = int(sys.argv[1]), int(sys.argv[2])
    say = print if "--quiet" not in sys.argv else lambda *_: None
    start_http_server(http_port, addr="127.0.0.1")
    with socket.create_server(("127.0.0.1", agents_port), backlog=4096) as server:
        while True:
            client, address = server.accept()
            say("connected:", address)
            threading.Thread(target=serve, args=(client, say), daemon=True).start()


main()
