#!/usr/bin/env python3
"""Records pages of node_exporter as a trace for the benches.

Fetches pages, or reads saved ones, and writes them as NAME.trace beside this script. New families
are appended to families.txt. README.md describes both formats.
"""

import argparse
import pathlib
import re
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
FAMILIES = HERE / "families.txt"

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?')

# Metrics of the exporter's own process.
SKIPPED = ("go_", "process_", "promhttp_")
# A family with digits that no clock has, rounded to this many decimal places.
ROUNDED = {"node_scrape_collector_duration_seconds": 6}
# Labels that name the host or its kernel, by family.
REPLACED = {
    ("node_uname_info", "nodename"): "host",
    ("node_uname_info", "domainname"): "(none)",
    ("node_uname_info", "release"): "6.1.0-amd64",
    ("node_uname_info", "version"): "#1 SMP",
}
# Addresses that many devices have.
COMMON_ADDRESSES = {"00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"}
ADDRESS = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")


class Sanitizer:
    """Replaces what identifies a host. Equal texts are replaced by equal texts."""

    def __init__(self, renamed):
        self.renamed = renamed
        self.names = {}
        self.addresses = {}

    def value(self, family, label, value):
        if (family, label) in REPLACED:
            return REPLACED[family, label]
        if label == "device":
            return self.device(value)
        if ADDRESS.fullmatch(value) and value not in COMMON_ADDRESSES:
            number = self.addresses.setdefault(value, len(self.addresses) + 1)
            return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
        return value

    def device(self, name):
        for prefix, new in self.renamed:
            if name.startswith(prefix):
                if name not in self.names:
                    taken = sum(other.startswith(prefix) for other in self.names)
                    self.names[name] = f"{new}{taken}"
                return self.names[name]
        return name


def number(text):
    """Returns the shortest text of the same number."""
    value = float(text)
    if value != value or value in (float("inf"), float("-inf")):
        return text
    texts = [repr(value).removesuffix(".0"), f"{value:.17g}", text]
    return min((t for t in texts if float(t) == value), key=len)


def parse(page, sanitizer, families):
    """Returns the values of a page by labels and family. Adds its families."""
    helps, series = {}, {}
    for line in page.splitlines():
        if line.startswith("# HELP "):
            name, text = line.removeprefix("# HELP ").split(" ", 1)
            helps[name] = text
        elif line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split(" ", 1)
            if not name.startswith(SKIPPED):
                families.setdefault(name, (kind, helps.get(name, "")))
        elif line and not line.startswith(SKIPPED):
            name, labels, value = SAMPLE.fullmatch(line).groups()
            pairs = LABEL.findall(labels or "")
            pairs = [(label, sanitizer.value(name, label, text)) for label, text in pairs]
            labels = ",".join(f'{label}="{text}"' for label, text in pairs)
            if name in ROUNDED:
                value = repr(round(float(value), ROUNDED[name]))
            series.setdefault(labels, {})[name] = number(value)
    return series


def write_page(before, now, sets, numbers):
    """Yields the lines of a page: what differs from the page before."""
    yield "page"
    yield from (f"{sets[labels]} -" for labels in before if labels not in now)
    for labels, values in now.items():
        old = before.get(labels, {})
        changed = [(name, value) for name, value in values.items() if old.get(name) != value]
        changed += [(name, "-") for name in old if name not in values]
        if not changed:
            continue
        is_new = labels not in sets
        head = str(sets.setdefault(labels, len(sets)))
        texts = [f"{numbers[name]}={value}" for name, value in changed]
        yield " ".join([head, *([f"{{{labels}}}"] if is_new else []), *texts])


def fetch(url, pages, interval):
    for page in range(pages):
        if page:
            time.sleep(interval)
        with urllib.request.urlopen(url) as response:
            yield response.read().decode()


def read_families():
    if not FAMILIES.exists():
        return {}
    lines = (line.split(" ", 2) for line in FAMILIES.read_text().splitlines())
    return {name: (kind, text) for name, kind, text in lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="name of the trace")
    parser.add_argument("saved", nargs="*", type=pathlib.Path, help="saved pages, in order")
    parser.add_argument("--url", default="http://127.0.0.1:9100/metrics")
    parser.add_argument("--pages", type=int, default=13, help="pages to fetch")
    parser.add_argument("--interval", type=float, default=15, help="seconds between two pages")
    parser.add_argument("--rename", nargs=2, action="append", default=[], metavar=("PREFIX", "NEW"),
                        help="number devices with this prefix as NEW0, NEW1 ...")
    args = parser.parse_args()

    families = read_families()
    sanitizer = Sanitizer(args.rename)
    saved = (path.read_text() for path in args.saved)
    pages = saved if args.saved else fetch(args.url, args.pages, args.interval)
    pages = [parse(page, sanitizer, families) for page in pages]

    numbers = {name: number for number, name in enumerate(families)}
    sets, lines, before = {}, [], {}
    for page in pages:
        lines += write_page(before, page, sets, numbers)
        before = page
    (HERE / f"{args.name}.trace").write_text("".join(f"{line}\n" for line in lines))
    texts = (f"{name} {kind} {text}\n" for name, (kind, text) in families.items())
    FAMILIES.write_text("".join(texts))


if __name__ == "__main__":
    main()
