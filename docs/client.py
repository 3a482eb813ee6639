#!/usr/bin/env python3
"""An example fleetgauge agent: wire protocol version 1 in Python 3.11, standard library only.

    python3 client.py HOST:PORT AGENT_ID [--interval SECONDS] [--reports N] [--label NAME=VALUE]

It reports the load average, the uptime and metrics of its own, and prints a line for every event. It ends with Bye
after N reports, or on SIGTERM or Ctrl-C, and with exit status 1 on Reject. It reconnects after a connection is lost.
See protocol.md for the protocol.
"""
import argparse, bisect, collections, hashlib, os, platform, random, select, signal, socket, struct, sys, time, uuid

HELLO, WELCOME, SCHEMA, REPORT, PING, PONG, DRAIN, REJECT, BYE = range(1, 10)
NAMES = "- Hello Welcome Schema Report Ping Pong Drain Reject Bye".split()
GAUGE, COUNTER, HISTOGRAM, SUMMARY, INFO = range(1, 6)
STOPPING, DRAINED = 0, 1                    # reasons of Bye
STREAM, ALL, CHANGED = b"\x00", b"\x00", b"\x01"
MAX_PAYLOAD = 16_384                        # of Hello and of every frame of a collector
ABSENT = bytes.fromhex("020000000000f07f")  # an absent value, kept as bytes: arithmetic may change the bits of a NaN

def log(*words): print(time.strftime("%H:%M:%S"), *words, flush=True)

def host_port(s):
    host, port = s.rsplit(":", 1)
    return host.strip("[]"), int(port)

def host_port_or(s, default):
    """The address in a Drain's target; the default if there is no target or it is not an address."""
    try: return host_port(s) if s else default
    except ValueError: return default

def backoff(failures):
    """Seconds to wait after this number of consecutive failures, see "Reconnect" in protocol.md."""
    if failures == 0: return random.uniform(0, 5)
    return 5.0 if failures <= 3 else random.uniform(0, min(5 * 2 ** min(failures - 3, 9), 60))

def name_value(s):
    name, value = s.split("=", 1)
    return name, value

class Rejected(Exception): """The collector sent Reject. Arguments: code, text, retry_after_ms or None."""
class ProtocolError(Exception): """The collector violated the protocol."""

# Encoding.

def uint(n):
    """A u16, u32 or u64 in its shortest form. (A u8 is always the plain byte.)"""
    if n <= 250: return bytes([n])
    if n <= 0xffff: return b"\xfb" + struct.pack("<H", n)
    if n <= 0xffff_ffff: return b"\xfc" + struct.pack("<I", n)
    return b"\xfd" + struct.pack("<Q", n)

def f64(x): return struct.pack("<d", x)
def blob(b): return uint(len(b)) + b
def text(s): return blob(s.encode())
def list_of(items): return uint(len(items)) + b"".join(items)
def labels(pairs): return list_of([text(name) + text(value) for name, value in pairs])

class Reader:
    """Decodes a payload field by field."""
    def __init__(self, payload): self.payload, self.at = payload, 0

    def take(self, n):
        self.at += n
        if self.at > len(self.payload): raise ProtocolError("payload too short")
        return self.payload[self.at - n:self.at]

    def end(self):
        if self.at != len(self.payload): raise ProtocolError("trailing bytes in payload")

    def u8(self): return self.take(1)[0]
    def blob(self): return self.take(self.uint(64))
    def text(self): return self.blob().decode(errors="replace")
    def option(self, read): return read() if self.bool() else None

    def uint(self, bits):
        first = self.u8()
        if first <= 250: return first
        size = {0xfb: 2, 0xfc: 4, 0xfd: 8}.get(first, 99)
        if size * 8 > bits: raise ProtocolError(f"{first:#x} begins no u{bits}")
        n = int.from_bytes(self.take(size), "little")
        if len(uint(n)) != size + 1: raise ProtocolError("integer not in its shortest form")
        return n

    def bool(self):
        if (b := self.u8()) > 1: raise ProtocolError("bool neither 0 nor 1")
        return b == 1

class Sampler:
    """The schema and its values. Series and values are in the same order."""
    BOUNDS = [0.0001, 0.001, 0.01]   # buckets of the histogram, in seconds
    QUANTILES = [0.5, 0.9]           # quantiles of the summary
    WINDOWS = ["1m", "5m", "15m"]    # windows of the load average
    COUNTED = [HELLO, SCHEMA, REPORT, PING, PONG, BYE]

    def __init__(self):
        self.sent_frames, self.sent_bytes = collections.Counter(), 0
        self.buckets, self.samples, self.sampling_seconds = [0] * len(self.BOUNDS), 0, 0.0  # buckets are cumulative
        self.recent_pings, self.pongs, self.ping_seconds = collections.deque(maxlen=100), 0, 0.0
        about = [("system", platform.system()), ("release", platform.release()), ("python", platform.python_version())]
        # Name (without the suffix of its kind), kind, unit, help, parameters, labels of each series.
        families = [
            ("example_load_average", GAUGE, "", "Mean number of runnable processes.", [],
             [[("window", w)] for w in self.WINDOWS]),
            ("example_uptime_seconds", GAUGE, "seconds", "Time since the host started.", [], [[]]),
            ("example_sent_bytes", COUNTER, "bytes", "Bytes sent by the client.", [], [[]]),
            ("example_sent_frames", COUNTER, "", "Frames sent by the client.", [],
             [[("kind", NAMES[k].lower())] for k in self.COUNTED]),
            ("example_sampling_seconds", HISTOGRAM, "seconds", "Time to take a sample.", self.BOUNDS, [[]]),
            ("example_ping_seconds", SUMMARY, "seconds", "Time from Ping to Pong, of the last 100.", self.QUANTILES,
             [[]]),
            ("example_platform", INFO, "", "Platform of the client.", [], [about]),
        ]
        # The width of a series is 1; of a histogram or a summary it is the number of parameters plus 2.
        self.schema = list_of([text(name) + bytes([kind]) + text(unit) + text(help)
                               for name, kind, unit, help, _, _ in families])
        self.schema += list_of([uint(i) + uint(len(params) + 2 if params else 1) + list_of([f64(p) for p in params])
                                + labels(series_labels)
                                for i, (_, _, _, _, params, series) in enumerate(families) for series_labels in series])
        self.fingerprint = hashlib.sha256(self.schema).digest()[:16]  # of the schema without its stream

    def observe_ping(self, seconds):
        self.recent_pings.append(seconds)
        self.pongs, self.ping_seconds = self.pongs + 1, self.ping_seconds + seconds

    def values(self):
        """All values, 8 bytes each. A summary without observations is absent."""
        began = time.perf_counter()
        load = map(f64, os.getloadavg())
        try:
            with open("/proc/uptime") as file: uptime = f64(float(file.read().split()[0]))
        except OSError: uptime = ABSENT
        ranked = sorted(self.recent_pings)
        ping = [f64(ranked[int(q * len(ranked))]) for q in self.QUANTILES] if ranked else [ABSENT] * len(self.QUANTILES)
        sent = [f64(self.sent_bytes), *(f64(self.sent_frames[k]) for k in self.COUNTED)]
        took = time.perf_counter() - began
        for i in range(bisect.bisect_left(self.BOUNDS, took), len(self.BOUNDS)): self.buckets[i] += 1
        self.samples, self.sampling_seconds = self.samples + 1, self.sampling_seconds + took
        return [*load, uptime, *sent, *map(f64, self.buckets), f64(self.samples), f64(self.sampling_seconds),
                *ping, f64(self.pongs), f64(self.ping_seconds), f64(1)]

def report(sequence, new, old):
    """The payload of a Report: all values without previous ones, otherwise those whose bits have changed."""
    head = STREAM + uint(sequence) + uint(time.time_ns() // 1_000_000)
    if old is None: return head + ALL + blob(b"".join(new))
    changed = [i for i in range(len(new)) if new[i] != old[i]]
    bitmap = bytearray((len(new) + 7) // 8)
    for i in changed: bitmap[i // 8] |= 1 << i % 8
    return head + CHANGED + blob(bytes(bitmap)) + blob(b"".join(new[i] for i in changed))

class Connection:
    def __init__(self, address, agent):
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.agent, self.input, self.max_payload = agent, b"", MAX_PAYLOAD

    def send(self, kind, payload):
        if len(payload) > self.max_payload:
            raise ProtocolError(f"{NAMES[kind]} of {len(payload)} bytes exceeds the limit of {self.max_payload}")
        frame = struct.pack("<2sBBI", b"FG", 1, kind, len(payload)) + payload  # I: 3 bytes of length, and flags 0
        try: self.socket.sendall(frame)
        except OSError:
            while self.receive(time.monotonic() + 1): pass  # raises Rejected if a Reject is pending
            raise
        self.agent.sampler.sent_frames[kind] += 1
        self.agent.sampler.sent_bytes += len(frame)

    def receive(self, until):
        """The next frame as (kind, Reader). None if none arrived in time, or if the agent is to stop."""
        while True:
            if len(self.input) >= 8:
                magic, version, kind, length = struct.unpack_from("<2sBBI", self.input)
                # Flags other than 0 make the length exceed its maximum.
                if magic != b"FG" or version != 1 or length > MAX_PAYLOAD:
                    raise ProtocolError(f"bad header {self.input[:8].hex(' ')}")
                if len(self.input) >= 8 + length:
                    fields, self.input = Reader(self.input[8:8 + length]), self.input[8 + length:]
                    if kind >= 0x80: continue  # skippable, of a later version
                    if kind != REJECT: return kind, fields
                    fields.uint(32)  # stream
                    raise Rejected(fields.uint(16), fields.text(), fields.option(lambda: fields.uint(32)))
            left = until - time.monotonic()
            if self.agent.stopping or left <= 0: return None
            if self.socket in select.select([self.socket, self.agent.wake], [], [], left)[0]:
                data = self.socket.recv(65_536)
                if not data: raise ConnectionError("the collector closed the connection")
                self.input += data

class Agent:
    def __init__(self, args):
        self.id, self.labels, self.reports_left = args.agent_id, args.label, args.reports
        self.collector, self.interval_ms = args.collector, round(args.interval * 1000)
        self.sampler, self.sequence = Sampler(), 0  # the sequence continues over all connections
        self.process_nonce = os.urandom(16)
        try:
            with open("/proc/sys/kernel/random/boot_id") as file: self.host_nonce = uuid.UUID(file.read().strip()).bytes
        except OSError: self.host_nonce = os.urandom(16)  # a restarted process then counts as another host
        self.stopping = False
        self.wake, self.waker = socket.socketpair()  # a signal makes `wake` readable, so that select returns
        self.waker.setblocking(False)
        signal.set_wakeup_fd(self.waker.fileno())
        for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, self.stop)

    def stop(self, *_): self.stopping = True

    def hello(self):
        return (bytes([1, 1]) + uint(0) + text(self.id) + self.host_nonce + self.process_nonce + labels(self.labels)
                + uint(self.interval_ms) + text("example-1") + self.sampler.fingerprint
                + b"\x00" + list_of([]))  # no credential, no extensions

    def handshake(self, connection):
        """Hello, Welcome and, if necessary, Schema. Returns the agreed interval in seconds; None to stop."""
        connection.send(HELLO, self.hello())
        frame = connection.receive(time.monotonic() + 10)
        if self.stopping: return None  # nothing may be sent before Welcome, not even Bye
        if frame is None: raise ConnectionError("no Welcome in 10 s")
        kind, fields = frame
        if kind != WELCOME or fields.u8() != 1: raise ProtocolError("the answer to Hello is not a Welcome of version 1")
        _capabilities, session = fields.uint(64), fields.uint(64)
        interval_ms, connection.max_payload, *limits = (fields.uint(32) for _ in range(6))
        known = fields.bool()
        for _ in range(fields.uint(64)): fields.uint(16), fields.blob()  # ignore extensions
        fields.end()
        log(f"welcome: session {session}, interval {interval_ms} ms, schema {'known' if known else 'not known'},",
            "at most {} bytes, {} families, {} series, {} values, {} label bytes".format(
                connection.max_payload, *limits))
        if not known:
            connection.send(SCHEMA, STREAM + self.sampler.schema)
            log(f"schema sent: {len(self.sampler.schema)} bytes, fingerprint {self.sampler.fingerprint.hex()}")
        return interval_ms / 1000

    def session(self, address):
        """One connection, until it ends by Bye or an exception. Returns whether the agent reconnects."""
        connection = Connection(address, self)
        with connection.socket:
            log("connected to {}:{}".format(*address))
            if (interval := self.handshake(connection)) is None: return False
            old, due, pings = None, time.monotonic(), {}
            self.established_at = time.monotonic() + 2 * interval  # a shorter session counts as a failed attempt
            while True:
                now = time.monotonic()
                if self.stopping or self.reports_left == 0 and now >= due:
                    connection.send(BYE, STREAM + bytes([STOPPING]))
                    log("bye sent: stopping")
                    return False
                if self.leave_at is not None and now >= self.leave_at:
                    connection.send(BYE, STREAM + bytes([DRAINED]))
                    log("bye sent: drained")
                    return self.reports_left != 0
                if now >= due:  # send a Report, and a Ping whose Pong proves that the collector is alive
                    if pings and now - next(iter(pings.values())) > 3 * interval: raise ConnectionError("no Pong")
                    new, self.sequence = self.sampler.values(), self.sequence + 1
                    connection.send(REPORT, payload := report(self.sequence, new, old))
                    log(f"report {self.sequence} sent: {'All' if old is None else 'Changed'}, {len(payload)} bytes")
                    pings[self.sequence] = time.monotonic()
                    connection.send(PING, uint(self.sequence))
                    old, due = new, max(due + interval, now)
                    if self.reports_left is not None: self.reports_left -= 1
                frame = connection.receive(due if self.leave_at is None else min(due, self.leave_at))
                if frame is None: continue
                kind, fields = frame
                if kind == PING:
                    connection.send(PONG, uint(token := fields.uint(64)))
                    log(f"ping {token} answered")
                elif kind == PONG:
                    if sent := pings.pop(token := fields.uint(64), None):
                        self.sampler.observe_ping(time.monotonic() - sent)
                        log(f"pong {token}")
                elif kind == DRAIN:
                    delay_ms, target = fields.uint(32), fields.option(fields.text)
                    self.leave_at = time.monotonic() + delay_ms / 1000
                    self.next_address = host_port_or(target, self.collector)
                    log(f"drain: leave in {delay_ms} ms, then connect to", "{}:{}".format(*self.next_address))
                else: raise ProtocolError(f"unexpected frame of kind {kind}")
                fields.end()

    def run(self):
        """Runs one session after another, with the waits of "Reconnect" in protocol.md. Returns the exit status."""
        self.next_address, failures = self.collector, 0
        while not self.stopping:
            # The target of a Drain is for one attempt.
            address, self.next_address = self.next_address, self.collector
            self.leave_at, self.established_at = None, float("inf")
            try:
                if not self.session(address): break
                drained, why = True, "drained"
            except Rejected as reject:
                code, why, retry_after_ms = reject.args
                retry = "a retry will not help" if retry_after_ms is None else f"retry after {retry_after_ms} ms"
                log(f"rejected: code {code}, {why!r}, {retry}")
                return 1  # a real agent waits that long (or ten minutes) and a random time, and reconnects
            except (OSError, ValueError, ProtocolError) as error:
                drained, why = self.leave_at is not None, f"connection lost: {error}"
            if established := time.monotonic() >= self.established_at: failures = 0
            if drained and established: wait = 0
            else: wait, failures = backoff(failures), failures + 1
            if self.leave_at is not None: wait = max(wait, self.leave_at - time.monotonic())  # the rest of the delay
            log(f"{why}; reconnecting in {wait:.1f} s")
            select.select([self.wake], [], [], wait)
        return 0

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An example fleetgauge agent.")
    parser.add_argument("collector", type=host_port, metavar="HOST:PORT")
    parser.add_argument("agent_id", metavar="AGENT_ID")
    parser.add_argument("--interval", type=float, default=15, metavar="SECONDS", help="interval between reports (15)")
    parser.add_argument("--reports", type=int, metavar="N", help="stop after N reports (default: never)")
    parser.add_argument("--label", type=name_value, action="append", default=[],
                        metavar="NAME=VALUE", help="label of all series (repeatable)")
    sys.exit(Agent(parser.parse_args()).run())
