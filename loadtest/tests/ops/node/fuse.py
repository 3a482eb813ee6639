"""A FUSE filesystem that responds only on request, and a program that sees it.

    fuse.py MOUNTPOINT PROGRAM [ARGUMENT...]

Mounts the filesystem, which does not respond yet, and starts the program. Prints "ok", then obeys
the lines of standard input and prints "ok" after each:

    answer    respond to statfs from now on
    hang      respond to nothing from now on
    unmount   unmount, which ends all calls that wait

Run it as the first process of a new PID namespace, in a new mount namespace: then the program sees
this mount as one of the host, and ends with this process.
"""

import ctypes
import os
import select
import struct
import subprocess
import sys

MS_NOSUID_NODEV = 2 | 4
MNT_DETACH = 2
# Operations of the FUSE protocol.
FORGET, STATFS, INIT, INTERRUPT = 2, 17, 26, 36
# Version of the protocol that the replies have.
MAJOR, MINOR = 7, 22
MAX_WRITE = 4096
# The kernel refuses a read that has no room for the largest request.
READ_BYTES = 1 << 17
ENOSYS = 38

libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def reply(operation):
    """Returns the reply to an operation: its error and body; None if it has no reply."""
    if operation in (FORGET, INTERRUPT):
        return None
    if operation == INIT:
        return 0, struct.pack("<4I2HI", MAJOR, MINOR, 0, 0, 0, 0, MAX_WRITE)
    if operation == STATFS:
        blocks, free, available, files, files_free, block_size = 1000, 500, 400, 100, 50, 4096
        sizes = (blocks, free, available, files, files_free)
        return 0, struct.pack("<5Q4I24x", *sizes, block_size, 255, block_size, 0)
    return -ENOSYS, b""


def respond(device):
    request = os.read(device, READ_BYTES)
    _, operation, unique = struct.unpack_from("<IIQ", request)
    answer = reply(operation)
    if answer is not None:
        error, body = answer
        os.write(device, struct.pack("<IiQ", 16 + len(body), error, unique) + body)


def main():
    mountpoint, *program = sys.argv[1:]
    path = mountpoint.encode()
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    check(libc.mount(b"test", path, b"fuse", MS_NOSUID_NODEV, options))
    subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    print("ok", flush=True)
    responds = False
    while True:
        ready, _, _ = select.select([0] + [device] * responds, [], [])
        if device in ready:
            respond(device)
        if 0 in ready:
            order = sys.stdin.readline().strip()
            if order == "unmount":
                check(libc.umount2(path, MNT_DETACH))
                os.close(device)
                responds = False
            elif order in ("answer", "hang"):
                responds = order == "answer"
            else:
                return
            print("ok", flush=True)


main()
