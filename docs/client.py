#!/usr/bin/env python3
"""An example fleetgauge agent: wire protocol version 1 in Python 3.11, standard library only.

    python3 client.py HOST:PORT AGENT_ID [--interval SECONDS] [--reports N] [--label NAME=VALUE]

It reports the load average, the uptime, metrics of its own and the mounted filesystems, whose rows come and go, and
prints a line for every event. It ends with Bye after N reports, or on SIGTERM or Ctrl-C, and with exit status 1 on
Reject. It reconnects after a connection is lost.
See protocol.md for the protocol.
"""
import argparse, bisect, collections, hashlib, math, os, platform, random, re, select, signal, socket, struct, sys
import time, uuid

HELLO, WELCOME, CATALOG, ROWS, REPORT, PING, PONG, DRAIN, REJECT, BYE = range(1, 11)
NAMES = "- Hello Welcome Catalog Rows Report Ping Pong Drain Reject Bye".split()
GAUGE, COUNTER, HISTOGRAM, SUMMARY, INFO = range(1, 6)
STOPPING, DRAINED = 0, 1                    # reasons of Bye
STREAM, ALL, CHANGED = b"\x00", b"\x00", b"\x01"
MAX_PAYLOAD = 16_384                        # of Hello and of every frame of a collector
ABSENT, NAN = 0x7ff0000000000002, 0x7ff8000000000000  # bits; an absent value is None in this program

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
def list_of(items):
    items = list(items)
    return uint(len(items)) + b"".join(items)
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

# Payloads.

def catalog(slot, families, tables):
    """The payload of a Catalog.

    A family is (name without the suffix of its kind, kind, unit, help). A table is (row labels, columns), and a column
    is (index of its family, width, decimal places, parameters, labels)."""
    def column(family, width, decimals, parameters, own):
        return uint(family) + uint(width) + bytes([decimals]) + list_of(map(f64, parameters)) + labels(own)
    return (STREAM + bytes([slot])
            + list_of([text(name) + bytes([kind]) + text(unit) + text(help) for name, kind, unit, help in families])
            + list_of([list_of(map(text, row_labels)) + list_of([column(*one) for one in columns])
                       for row_labels, columns in tables]))

def fingerprint(catalog_payload):
    return hashlib.sha256(catalog_payload[2:]).digest()[:16]  # without stream and slot

def row_change(slot, table, old, new):
    """The change from one set of rows to another; b"" if there is none. Rows are tuples of label values."""
    # Strings compare by code point, which is the order of their UTF-8 bytes.
    removed = [position for position, row in enumerate(sorted(old)) if row not in new]
    added = sorted(row for row in new if row not in old)
    if not removed and not added: return b""
    return (bytes([slot]) + uint(table) + list_of(map(uint, removed))
            + list_of([text(value) for row in added for value in row]))

def report(sequence, unix_ms, old, new, decimals):
    """The payload of a Report: all values if `old` is None, otherwise those that have changed."""
    head = STREAM + uint(sequence) + uint(unix_ms)
    if old is None: return head + ALL + blob(coded([(0.0, *value) for value in zip(new, decimals)]))
    changed = [i for i in range(len(new)) if bits(new[i]) != bits(old[i])]
    bitmap = bytearray((len(new) + 7) // 8)
    for i in changed: bitmap[i // 8] |= 1 << i % 8
    return head + CHANGED + blob(bytes(bitmap)) + blob(coded([(old[i], new[i], decimals[i]) for i in changed]))

# The compact coding of values.

def bits(value):
    if value is None: return ABSENT
    return NAN if math.isnan(value) else struct.unpack("<Q", f64(value))[0]

def units(value, decimals):
    """The value in units of the last decimal place; None if it is not whole."""
    scale = 10 ** decimals
    if value is None or not math.isfinite(value * scale): return None
    number = round(value * scale)
    return number if abs(number) < 1 << 50 and bits(number / scale) == bits(value) else None

def coded(changes):
    """The codes and then the bytes of (old value, new value, decimal places)."""
    codes, data = [], b""
    for old, new, decimals in changes:
        if old is None: old = 0.0
        before, after = units(old, decimals), units(new, decimals)
        if before is None or after is None: first, number = 7, bits(old) ^ bits(new)
        elif after >= before: first, number = 0, 2 * (after - before)
        else: first, number = 0, 2 * (before - after) - 1
        size = (number.bit_length() + 7) // 8
        codes.append(first + size)
        data += number.to_bytes(size, "little")
    codes += [0] * (len(codes) % 2)
    return bytes(low | high << 4 for low, high in zip(codes[::2], codes[1::2])) + data

# What is reported.

class Sampler:
    """The catalog and the values. Columns and values are in the same order."""
    BOUNDS = [0.0001, 0.001, 0.01]   # buckets of the histogram, in seconds
    QUANTILES = [0.5, 0.9]           # quantiles of the summary
    WINDOWS = ["1m", "5m", "15m"]    # windows of the load average
    COUNTED = [HELLO, CATALOG, ROWS, REPORT, PING, PONG, BYE]
    ABOUT = [("system", platform.system()), ("release", platform.release()), ("python", platform.python_version())]
    FAMILIES = [
        ("example_load_average", GAUGE, "", "Mean number of runnable processes."),
        ("example_uptime_seconds", GAUGE, "seconds", "Time since the host started."),
        ("example_sent_bytes", COUNTER, "bytes", "Bytes sent by the client."),
        ("example_sent_frames", COUNTER, "", "Frames sent by the client."),
        ("example_sampling_seconds", HISTOGRAM, "seconds", "Time to take a sample."),
        ("example_ping_seconds", SUMMARY, "seconds", "Time from Ping to Pong, of the last 100."),
        ("example_platform", INFO, "", "Platform of the client."),
        ("example_filesystem_size_bytes", GAUGE, "bytes", "Size of the filesystem."),
        ("example_filesystem_free_bytes", GAUGE, "bytes", "Free space of the filesystem."),
    ]
    # Family, width, decimal places, parameters, labels. A histogram or a summary is as wide as its parameters plus 2.
    HOST = ([], [  # no row labels: one row
        *[(0, 1, 2, [], [("window", window)]) for window in WINDOWS],
        (1, 1, 2, [], []),
        (2, 1, 0, [], []),
        *[(3, 1, 0, [], [("kind", kind.lower())]) for kind in map(NAMES.__getitem__, COUNTED)],
        (4, len(BOUNDS) + 2, 6, BOUNDS, []),
        (5, len(QUANTILES) + 2, 6, QUANTILES, []),
        (6, 1, 0, [], ABOUT),
    ])
    FILESYSTEM = (["mountpoint", "fstype"], [(7, 1, 0, [], []), (8, 1, 0, [], [])])
    TABLES = [HOST, FILESYSTEM]

    def __init__(self):
        self.catalog = catalog(0, self.FAMILIES, self.TABLES)
        self.sent_frames, self.sent_bytes = collections.Counter(), 0
        self.buckets, self.samples, self.sampling_seconds = [0] * len(self.BOUNDS), 0, 0.0  # buckets are cumulative
        self.recent_pings, self.pongs, self.ping_seconds = collections.deque(maxlen=100), 0, 0.0

    def observe_ping(self, seconds):
        self.recent_pings.append(seconds)
        self.pongs, self.ping_seconds = self.pongs + 1, self.ping_seconds + seconds

    def sample(self):
        """The rows of each table with their values."""
        began = time.perf_counter()
        filesystems, load, uptime = self.filesystems(), os.getloadavg(), self.uptime()
        took = time.perf_counter() - began
        for i in range(bisect.bisect_left(self.BOUNDS, took), len(self.BOUNDS)): self.buckets[i] += 1
        self.samples, self.sampling_seconds = self.samples + 1, self.sampling_seconds + took
        ranked = sorted(self.recent_pings)
        quantiles = [round(ranked[int(q * len(ranked))], 6) if ranked else None for q in self.QUANTILES]
        host = [*(round(mean, 2) for mean in load), uptime,
                self.sent_bytes, *(self.sent_frames[kind] for kind in self.COUNTED),
                *self.buckets, self.samples, round(self.sampling_seconds, 6),
                *quantiles, self.pongs, round(self.ping_seconds, 6), 1]
        return [{(): host}, filesystems]

    def uptime(self):
        try:
            with open("/proc/uptime") as file: return float(file.read().split()[0])
        except OSError: return None  # absent

    def filesystems(self):
        """A row for each local filesystem that is mounted now."""
        rows = {}
        try:
            with open("/proc/self/mounts", errors="replace") as file: mounts = [line.split() for line in file]
        except OSError: return rows
        for device, mountpoint, fstype, *_ in mounts:
            if not device.startswith("/dev/") and fstype not in ("overlay", "tmpfs"): continue
            mountpoint = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), mountpoint)  # a space is \040
            try: stat = os.statvfs(mountpoint)
            except (OSError, ValueError): continue  # unmounted meanwhile, or not readable
            if len(mountpoint.encode()) <= 1024:
                rows[mountpoint, fstype] = [stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize]
        return rows

class Reporter:
    """The rows and values that one connection has reported, and the frames that lead to new ones."""
    def __init__(self, tables):
        self.tables = tables
        # At first the tables with row labels have no rows, and all values are absent.
        self.reported = [{} if row_labels else {(): None} for row_labels, _ in tables]
        self.is_first = True

    def frames(self, sequence, unix_ms, now):
        """Yields kind and payload of Rows, if rows have changed, and of Report."""
        rows = [row_change(0, table, old, new) for table, (old, new) in enumerate(zip(self.reported, now))]
        if any(rows): yield ROWS, STREAM + list_of([change for change in rows if change])
        old, new, decimals = [], [], []
        for before, after, (_, columns) in zip(self.reported, now, self.tables):
            places = [decimals for _, width, decimals, _, _ in columns for _ in range(width)]
            for row in sorted(after):
                old += before.get(row) or [None] * len(places)  # the values of a new row are absent
                new += after[row]
                decimals += places
        yield REPORT, report(sequence, unix_ms, None if self.is_first else old, new, decimals)
        self.reported, self.is_first = now, False

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
        self.sampler, self.sequence, self.unix_ms = Sampler(), 0, 0  # these two rise over all connections
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
                + uint(self.interval_ms) + text("example-1") + list_of([fingerprint(self.sampler.catalog)])
                + b"\x00" + list_of([]))  # no credential, no extensions

    def handshake(self, connection):
        """Hello, Welcome and, if necessary, Catalog. Returns the agreed interval in seconds; None to stop."""
        connection.send(HELLO, self.hello())
        frame = connection.receive(time.monotonic() + 10)
        if self.stopping: return None  # nothing may be sent before Welcome, not even Bye
        if frame is None: raise ConnectionError("no Welcome in 10 s")
        kind, fields = frame
        if kind != WELCOME or fields.u8() != 1: raise ProtocolError("the answer to Hello is not a Welcome of version 1")
        _capabilities, session = fields.uint(64), fields.uint(64)
        interval_ms = fields.uint(32)
        self.clock_offset = fields.uint(64) / 1000 - time.monotonic()  # of the collector's clock
        connection.max_payload, *limits = (fields.uint(32) for _ in range(5))
        known = fields.uint(16) & 1 == 1  # the bit of slot 0
        for _ in range(fields.uint(64)): fields.uint(16), fields.blob()  # ignore extensions
        fields.end()
        log(f"welcome: session {session}, interval {interval_ms} ms, catalog {'known' if known else 'not known'},",
            "at most {} bytes, {} families, {} series, {} values, {} label bytes".format(
                connection.max_payload, *limits))
        if not known:
            connection.send(CATALOG, self.sampler.catalog)
            log(f"catalog sent: {len(self.sampler.catalog)} bytes, {fingerprint(self.sampler.catalog).hex()}")
        return interval_ms / 1000

    def send_report(self, connection, reporter):
        self.sequence += 1
        self.unix_ms = max(self.unix_ms + 2, round((time.monotonic() + self.clock_offset) * 1000))
        for kind, payload in reporter.frames(self.sequence, self.unix_ms, self.sampler.sample()):
            connection.send(kind, payload)
            log(f"{NAMES[kind]} {self.sequence} sent: {len(payload)} bytes")

    def session(self, address):
        """One connection, until it ends by Bye or an exception. Returns whether the agent reconnects."""
        connection = Connection(address, self)
        with connection.socket:
            log("connected to {}:{}".format(*address))
            if (interval := self.handshake(connection)) is None: return False
            reporter, due, pings = Reporter(self.sampler.TABLES), time.monotonic(), {}
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
                    self.send_report(connection, reporter)
                    pings[self.sequence] = time.monotonic()
                    connection.send(PING, uint(self.sequence))
                    due = max(due + interval, now)
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
