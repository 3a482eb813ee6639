#!/usr/bin/env python3
"""An example fleetgauge agent: wire protocol version 1 in Python 3.11, standard library only.

    python3 client.py HOST:PORT AGENT_ID [--interval SECONDS] [--reports N] [--label NAME=VALUE]

It reports the load average, the uptime and some numbers about itself, and prints a line for every event. It ends with Bye
after N reports or when told to stop (SIGTERM, Ctrl-C), and with exit status 1 on Reject. A connection that is lost is tried
again. The protocol is described in protocol.md.
"""
import argparse, bisect, collections, hashlib, os, platform, random, select, signal, socket, struct, sys, time, uuid

HELLO, WELCOME, SCHEMA, REPORT, PING, PONG, DRAIN, REJECT, BYE = range(1, 10)
NAMES = "- Hello Welcome Schema Report Ping Pong Drain Reject Bye".split()
GAUGE, COUNTER, HISTOGRAM, SUMMARY, INFO = range(1, 6)
STOPPING, DRAINED = 0, 1
STREAM, ALL, CHANGED = b"\x00", b"\x00", b"\x01"
MAX_PAYLOAD = 16_384                        # of Hello and of every frame of a collector
ABSENT = bytes.fromhex("020000000000f07f")  # a value that is not there; kept as bytes, since arithmetic may change a NaN

def say(*words): print(time.strftime("%H:%M:%S"), *words, flush=True)

def host_port(s):
    host, port = s.rsplit(":", 1)
    return host.strip("[]"), int(port)

def host_port_or(s, otherwise):
    """A Drain's target; one that is no address is as none."""
    try: return host_port(s) if s else otherwise
    except ValueError: return otherwise

def pause(failures):
    """How long to wait after so many failures in a row: a place within 5 s, kept three times, then from a range that doubles."""
    if failures == 0: return random.uniform(0, 5)
    return 5.0 if failures <= 3 else random.uniform(0, min(5 * 2 ** min(failures - 3, 9), 60))

def name_value(s):
    name, value = s.split("=", 1)
    return name, value

class Rejected(Exception): """The collector sent Reject: code, text, retry_after_ms or None."""
class Broken(Exception): """The collector did what the protocol does not allow."""

def uint(n):
    """u16, u32 and u64, in the shortest form. (A u8 is always the plain byte.)"""
    if n <= 250: return bytes([n])
    if n <= 0xffff: return b"\xfb" + struct.pack("<H", n)
    if n <= 0xffff_ffff: return b"\xfc" + struct.pack("<I", n)
    return b"\xfd" + struct.pack("<Q", n)

def f64(x): return struct.pack("<d", x)
def blob(b): return uint(len(b)) + b
def text(s): return blob(s.encode())
def listed(items): return uint(len(items)) + b"".join(items)
def labels(pairs): return listed([text(name) + text(value) for name, value in pairs])

class Reader:
    """Takes a payload apart, field by field."""
    def __init__(self, payload): self.payload, self.at = payload, 0

    def take(self, n):
        self.at += n
        if self.at > len(self.payload): raise Broken("a payload is too short")
        return self.payload[self.at - n:self.at]

    def end(self):
        if self.at != len(self.payload): raise Broken("a payload is too long")

    def u8(self): return self.take(1)[0]
    def blob(self): return self.take(self.uint(64))
    def text(self): return self.blob().decode(errors="replace")
    def option(self, read): return read() if self.bool() else None

    def uint(self, bits):
        first = self.u8()
        if first <= 250: return first
        size = {0xfb: 2, 0xfc: 4, 0xfd: 8}.get(first, 99)
        if size * 8 > bits: raise Broken(f"{first:#x} opens no u{bits}")
        n = int.from_bytes(self.take(size), "little")
        if len(uint(n)) != size + 1: raise Broken("an integer is longer than needed")
        return n

    def bool(self):
        if (b := self.u8()) > 1: raise Broken("a bool is neither 0 nor 1")
        return b == 1

class Sampler:
    """The schema and the values that belong to it. Series and values are in the same order."""
    BOUNDS = [0.0001, 0.001, 0.01]   # of the histogram, in seconds
    QUANTILES = [0.5, 0.9]           # of the summary
    WINDOWS = ["1m", "5m", "15m"]    # of the load average
    COUNTED = [HELLO, SCHEMA, REPORT, PING, PONG, BYE]

    def __init__(self):
        self.sent_frames, self.sent_bytes = collections.Counter(), 0
        self.buckets, self.sampled, self.sampling = [0] * len(self.BOUNDS), 0, 0.0  # buckets are cumulative
        self.recent, self.pongs, self.waited = collections.deque(maxlen=100), 0, 0.0
        about = [("system", platform.system()), ("release", platform.release()), ("python", platform.python_version())]
        # Name (without the suffix of the kind), kind, unit, help, parameters, labels of each series.
        families = [
            ("example_load_average", GAUGE, "", "Processes that want to run.", [], [[("window", w)] for w in self.WINDOWS]),
            ("example_uptime_seconds", GAUGE, "seconds", "Time since the host started.", [], [[]]),
            ("example_sent_bytes", COUNTER, "bytes", "Bytes that the client has sent.", [], [[]]),
            ("example_sent_frames", COUNTER, "", "Frames that the client has sent.", [],
             [[("kind", NAMES[k].lower())] for k in self.COUNTED]),
            ("example_sampling_seconds", HISTOGRAM, "seconds", "Time to take a sample.", self.BOUNDS, [[]]),
            ("example_ping_seconds", SUMMARY, "seconds", "Time from Ping to Pong, of the last 100.", self.QUANTILES, [[]]),
            ("example_platform", INFO, "", "What the client runs on.", [], [about]),
        ]
        # The width of a series is 1, or its parameters and two more for a histogram or a summary.
        self.schema = listed([text(name) + bytes([kind]) + text(unit) + text(help)
                              for name, kind, unit, help, _, _ in families])
        self.schema += listed([uint(i) + uint(len(params) + 2 if params else 1) + listed([f64(p) for p in params]) + labels(own)
                               for i, (_, _, _, _, params, series) in enumerate(families) for own in series])
        self.fingerprint = hashlib.sha256(self.schema).digest()[:16]  # the schema without its stream

    def ponged(self, seconds):
        self.recent.append(seconds)
        self.pongs, self.waited = self.pongs + 1, self.waited + seconds

    def values(self):
        """All values, 8 bytes each. A summary without observations is absent."""
        begun = time.perf_counter()
        load = map(f64, os.getloadavg())
        try:
            with open("/proc/uptime") as file: uptime = f64(float(file.read().split()[0]))
        except OSError: uptime = ABSENT
        ranked = sorted(self.recent)
        ping = [f64(ranked[int(q * len(ranked))]) for q in self.QUANTILES] if ranked else [ABSENT] * len(self.QUANTILES)
        own = [f64(self.sent_bytes), *(f64(self.sent_frames[k]) for k in self.COUNTED)]
        took = time.perf_counter() - begun
        for i in range(bisect.bisect_left(self.BOUNDS, took), len(self.BOUNDS)): self.buckets[i] += 1
        self.sampled, self.sampling = self.sampled + 1, self.sampling + took
        return [*load, uptime, *own, *map(f64, self.buckets), f64(self.sampled), f64(self.sampling),
                *ping, f64(self.pongs), f64(self.waited), f64(1)]

def report(sequence, new, old):
    """The payload of a Report: all values if there are no old ones, otherwise those that have changed, bit by bit."""
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
        if len(payload) > self.max_payload: raise Broken(f"{NAMES[kind]} of {len(payload)} bytes is more than is accepted")
        frame = struct.pack("<2sBBI", b"FG", 1, kind, len(payload)) + payload  # the I is 3 bytes of length and the flags, 0
        try: self.socket.sendall(frame)
        except OSError:
            while self.receive(time.monotonic() + 1): pass  # a Reject may have come
            raise
        self.agent.sampler.sent_frames[kind] += 1
        self.agent.sampler.sent_bytes += len(frame)

    def receive(self, until):
        """The next frame as (kind, Reader); None if none has come by then, or if the agent was told to stop."""
        while True:
            if len(self.input) >= 8:
                magic, version, kind, length = struct.unpack_from("<2sBBI", self.input)  # flags that are set exceed the length
                if magic != b"FG" or version != 1 or length > MAX_PAYLOAD: raise Broken(f"bad header {self.input[:8].hex(' ')}")
                if len(self.input) >= 8 + length:
                    fields, self.input = Reader(self.input[8:8 + length]), self.input[8 + length:]
                    if kind >= 0x80: continue  # of a later version, to be skipped
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
        self.id, self.labels, self.left = args.agent_id, args.label, args.reports
        self.home, self.interval_ms = args.collector, round(args.interval * 1000)
        self.sampler, self.sequence = Sampler(), 0  # the sequence rises over all connections
        self.process_nonce = os.urandom(16)
        try:
            with open("/proc/sys/kernel/random/boot_id") as file: self.host_nonce = uuid.UUID(file.read().strip()).bytes
        except OSError: self.host_nonce = os.urandom(16)  # a process that is started again counts as another host
        self.stopping = False
        self.wake, self.waker = socket.socketpair()  # a signal makes `wake` readable, so that select returns
        self.waker.setblocking(False)
        signal.set_wakeup_fd(self.waker.fileno())
        for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, self.stop)

    def stop(self, *_): self.stopping = True

    def hello(self):
        return (bytes([1, 1]) + uint(0) + text(self.id) + self.host_nonce + self.process_nonce + labels(self.labels)
                + uint(self.interval_ms) + text("example-1") + self.sampler.fingerprint
                + b"\x00" + listed([]))  # no credential, no extensions

    def greet(self, connection):
        """Hello, Welcome and, if it is wanted, Schema. Returns the interval to keep in seconds, None if told to stop."""
        connection.send(HELLO, self.hello())
        frame = connection.receive(time.monotonic() + 10)
        if self.stopping: return None  # nothing may be sent before Welcome: just close
        if frame is None: raise ConnectionError("no Welcome in 10 s")
        kind, fields = frame
        if kind != WELCOME or fields.u8() != 1: raise Broken("the answer to Hello is no Welcome of version 1")
        _capabilities, session = fields.uint(64), fields.uint(64)
        interval_ms, connection.max_payload, *limits = (fields.uint(32) for _ in range(6))
        known = fields.bool()
        for _ in range(fields.uint(64)): fields.uint(16), fields.blob()  # extensions, none of which is known
        fields.end()
        say(f"welcome: session {session}, interval {interval_ms} ms, schema {'known' if known else 'not known'}, at most",
            "{} bytes, {} families, {} series, {} values, {} label bytes".format(connection.max_payload, *limits))
        if not known:
            connection.send(SCHEMA, STREAM + self.sampler.schema)
            say(f"schema sent: {len(self.sampler.schema)} bytes, fingerprint {self.sampler.fingerprint.hex()}")
        return interval_ms / 1000

    def session(self, address):
        """One connection, until it is over: by Bye, or by an exception. Returns whether the agent comes again."""
        connection = Connection(address, self)
        with connection.socket:
            say("connected to {}:{}".format(*address))
            if (interval := self.greet(connection)) is None: return False
            old, due, pings = None, time.monotonic(), {}
            self.good_after = time.monotonic() + 2 * interval  # from then on it was no failed attempt
            while True:
                now = time.monotonic()
                if self.stopping or self.left == 0 and now >= due:
                    connection.send(BYE, STREAM + bytes([STOPPING]))
                    say("bye sent: stopping")
                    return False
                if self.leave is not None and now >= self.leave:
                    connection.send(BYE, STREAM + bytes([DRAINED]))
                    say("bye sent: drained")
                    return self.left != 0
                if now >= due:  # a Report, and a Ping whose Pong shows that the collector is there
                    if pings and now - next(iter(pings.values())) > 3 * interval: raise ConnectionError("no Pong")
                    new, self.sequence = self.sampler.values(), self.sequence + 1
                    connection.send(REPORT, payload := report(self.sequence, new, old))
                    say(f"report {self.sequence} sent: {'All' if old is None else 'Changed'}, {len(payload)} bytes")
                    pings[self.sequence] = time.monotonic()
                    connection.send(PING, uint(self.sequence))
                    old, due = new, max(due + interval, now)
                    if self.left is not None: self.left -= 1
                frame = connection.receive(due if self.leave is None else min(due, self.leave))
                if frame is None: continue
                kind, fields = frame
                if kind == PING:
                    connection.send(PONG, uint(token := fields.uint(64)))
                    say(f"ping {token} answered")
                elif kind == PONG:
                    if sent := pings.pop(token := fields.uint(64), None):
                        self.sampler.ponged(time.monotonic() - sent)
                        say(f"pong {token}")
                elif kind == DRAIN:
                    delay_ms, elsewhere = fields.uint(32), fields.option(fields.text)
                    self.leave, self.next = time.monotonic() + delay_ms / 1000, host_port_or(elsewhere, self.home)
                    say(f"drain: leave in {delay_ms} ms, then go to", "{}:{}".format(*self.next))
                else: raise Broken(f"unexpected frame of kind {kind}")
                fields.end()

    def run(self):
        """Sessions, one after another, as "Reconnect" says. Returns the exit status."""
        self.next, failures = self.home, 0  # a Drain's target is for one attempt
        while not self.stopping:
            address, self.next, self.leave, self.good_after = self.next, self.home, None, float("inf")
            try:
                if not self.session(address): break
                drained, why = True, "left"
            except Rejected as reject:
                code, why, retry_after_ms = reject.args
                retry = "the same again will not help" if retry_after_ms is None else f"come again in {retry_after_ms} ms"
                say(f"rejected: code {code}, {why!r}, {retry}")
                return 1  # a real agent waits that long, or ten minutes, and some random time on top, and comes again
            except (OSError, ValueError, Broken) as error: drained, why = self.leave is not None, f"connection lost: {error}"
            if good := time.monotonic() >= self.good_after: failures = 0
            if drained and good: wait = 0  # at once; after a shorter session it counts as a failed attempt
            else: wait, failures = pause(failures), failures + 1
            if self.leave is not None: wait = max(wait, self.leave - time.monotonic())  # also if the connection was lost before
            say(f"{why}; again in {wait:.1f} s")
            select.select([self.wake], [], [], wait)
        return 0

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="An example fleetgauge agent.")
    parser.add_argument("collector", type=host_port, metavar="HOST:PORT")
    parser.add_argument("agent_id", metavar="AGENT_ID")
    parser.add_argument("--interval", type=float, default=15, metavar="SECONDS", help="between reports (15)")
    parser.add_argument("--reports", type=int, metavar="N", help="end after so many (never)")
    parser.add_argument("--label", type=name_value, action="append", default=[],
                        metavar="NAME=VALUE", help="a label for all series; may be given several times")
    sys.exit(Agent(parser.parse_args()).run())
