"""Compares the encoders of docs/client.py with the accepted frames of vectors/v1. Arguments: the two folders."""
import json, math, pathlib, sys

sys.path.insert(0, sys.argv[1])
import client

def number(value):
    if value == "absent": return None
    if isinstance(value, str): return math.nan if value.startswith("NaN") else float(value)
    return value

def pairs(labels): return [(label["name"], label["value"]) for label in labels]

def catalog(fields, _):
    families = [(f["name"], f["kind"], f["unit"], f["help"]) for f in fields["families"]]
    def column(c): return c["family"], c["width"], c["decimals"], map(number, c["parameters"]), pairs(c["labels"])
    tables = [(table["row_labels"], map(column, table["columns"])) for table in fields["tables"]]
    return client.catalog(fields["slot"], families, tables)

def rows(fields, vector):
    old, new = (set(map(tuple, rows)) for rows in (vector["context"]["rows"], vector["after"]["rows"]))
    [change] = fields["changes"]
    return client.STREAM + client.list_of([client.row_change(change["slot"], change["table"], old, new)])

def report(fields, vector):
    shape, before = vector["context"]["shape"], list(map(number, vector["context"]["before"]))
    decimals = [places for table in shape for places in table["decimals"] * table["rows"]]
    old = None if "all" in fields["values"] else before
    new = list(map(number, vector["after"]["values"]))
    return client.report(fields["sequence"], fields["unix_ms"], old, new, decimals)

ENCODERS = {"Catalog": catalog, "Rows": rows, "Report": report}
compared = dict.fromkeys(ENCODERS, 0)
for file in sorted(pathlib.Path(sys.argv[2], "accepted").glob("*.json")):
    vector = json.loads(file.read_text())
    kind = vector["kind"]
    if kind not in ENCODERS or kind != "Catalog" and "context" not in vector: continue
    if "capabilities" in vector.get("context", {}): continue  # the client keeps no log
    if kind == "Rows" and vector["context"]["rows"] == vector["after"]["rows"]: continue  # the client sends no such Rows
    payload = bytes.fromhex(file.with_suffix(".hex").read_text())[8:]
    found = ENCODERS[kind](vector["fields"], vector)
    assert found == payload, f"{file.stem}:\n{found.hex()}\n{payload.hex()}"
    if kind == "Catalog": assert client.fingerprint(found).hex() == vector["fingerprint"], file.stem
    compared[kind] += 1
assert all(compared.values()), compared
print(compared)
