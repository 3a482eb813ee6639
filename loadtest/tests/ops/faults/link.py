#!/usr/bin/env python3
"""A link between network namespaces that can be impaired.

usage: link.py NAMESPACE:ADDRESS NAMESPACE:ADDRESS...

The first namespace is one end, the second the other. Further namespaces have the address of the
second and can replace it. All packets pass through this program, which drops, delays and reorders
them. It reads commands from standard input, one per line, and answers each with `ok`:

    set loss=0.3 delay=2 jitter=0.1 rate=10000    share, seconds, seconds and bytes per second, in
                                                  each direction; omitted impairments are off
    forget                                        drop packets of all current connections, as a NAT
                                                  that has lost its state; new connections work
    switch                                        connect the next namespace instead of the current
                                                  second one

netem of the kernel can do the first, but not every kernel has it.
"""

import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
# Maximum queue of a slow link, in seconds. Further packets are dropped, as by a modem's buffer.
QUEUE_SECONDS = 5
TCP = 6


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def end(number, namespace, address, peer):
    """A device in `namespace` whose packets are read and written here."""
    name = f"bad{os.getpid()}-{number}"
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    ip("link", "set", name, "netns", namespace)
    ip("-n", namespace, "address", "add", address, "peer", peer, "dev", name)
    ip("-n", namespace, "link", "set", name, "up")
    return device


def connection(packet):
    """What both directions of a TCP connection have in common; None of anything else."""
    if packet[0] >> 4 != 4 or packet[9] != TCP:
        return None
    ports = (packet[0] & 15) * 4
    source = packet[12:16] + packet[ports : ports + 2]
    target = packet[16:20] + packet[ports + 2 : ports + 4]
    return min(source, target) + max(source, target)


class Link:
    def __init__(self, ends):
        self.near, self.far, *self.spare = ends
        self.orders = {}
        self.free = {}
        self.queue = []
        self.known, self.forgotten = set(), set()

    def obey(self, command):
        verb, *words = command.split()
        if verb == "set":
            self.orders = {key: float(value) for key, value in (word.split("=") for word in words)}
        elif verb == "forget":
            self.forgotten |= self.known
        elif verb == "switch":
            self.far = self.spare.pop(0)
        else:
            raise ValueError(command)
        print("ok", flush=True)

    def take(self, device, packet):
        if device not in (self.near, self.far):
            return
        flow = connection(packet)
        self.known.add(flow)
        if flow in self.forgotten or random.random() < self.orders.get("loss", 0):
            return
        now = time.monotonic()
        to = self.far if device == self.near else self.near
        at = now
        if rate := self.orders.get("rate"):
            at = max(now, self.free.get(to, 0)) + len(packet) / rate
            if at > now + QUEUE_SECONDS:
                return
            self.free[to] = at
        at += self.orders.get("delay", 0) + random.random() * self.orders.get("jitter", 0)
        heapq.heappush(self.queue, (at, random.random(), to, packet))

    def deliver(self):
        """Lets go what is due; the seconds until more is, None if nothing waits."""
        while self.queue and self.queue[0][0] <= time.monotonic():
            _, _, to, packet = heapq.heappop(self.queue)
            try:
                os.write(to, packet)
            except OSError:
                pass  # The namespace is going, or its queue is full: lost.
        return max(0, self.queue[0][0] - time.monotonic()) if self.queue else None


def main():
    places = [argument.split(":") for argument in sys.argv[1:]]
    peer = lambda number: places[1][1] if number == 0 else places[0][1]
    ends = [end(n, namespace, address, peer(n)) for n, (namespace, address) in enumerate(places)]
    link = Link(ends)
    print("ok", flush=True)
    while True:
        readable, _, _ = select.select([*ends, sys.stdin], [], [], link.deliver())
        for source in readable:
            if source is sys.stdin:
                command = sys.stdin.readline()
                if not command:
                    return
                link.obey(command)
                continue
            try:
                link.take(source, os.read(source, 65536))
            except BlockingIOError:
                pass


main()
