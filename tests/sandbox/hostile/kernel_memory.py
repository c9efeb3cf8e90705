"""Try to hold memory of the kernel, which no limit of a process counts, and calls that a re-run does not need."""

import asyncio
import ctypes
import errno
import fcntl
import json
import os
import platform
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
succeeded = []


def attempt(name, work):
    try:
        work()
    except (OSError, NotImplementedError):
        return
    succeeded.append(name)


def call(number, *arguments):
    """A system call by number. It counts as refused where the kernel does not have it."""
    if libc.syscall(number, *arguments) == -1 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS):
        raise OSError


def full_buffers():
    pairs = []
    for _ in range(110):
        one, other = socket.socketpair()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        one.setblocking(False)
        pairs.append((one, other, one.send(b"a" * (4 << 20))))


def large_pipe():
    _, writing = os.pipe()
    fcntl.fcntl(writing, 1031, 1 << 20)
    os.write(writing, b"a" * (1 << 20))


attempt("full buffers of socket pairs", full_buffers)
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    attempt(f"socket {kind}", lambda kind=kind: socket.socket(socket.AF_UNIX, kind))
    attempt(f"pair {kind}", lambda kind=kind: socket.socketpair(socket.AF_UNIX, kind))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("an event loop's pair", lambda: asyncio.new_event_loop())
attempt("a large pipe", large_pipe)
attempt("memfd", lambda: os.memfd_create("a"))
attempt("watches", lambda: call({"x86_64": 294, "aarch64": 26}[platform.machine()], 0))
attempt(
    "a ring of requests",
    lambda: call({"x86_64": 206, "aarch64": 0}[platform.machine()], 65_536, ctypes.byref(ctypes.c_ulong())),
)
if platform.machine() == "x86_64":
    attempt("modify_ldt", lambda: call(154, 0, ctypes.create_string_buffer(64), 64))
# statmount, listmount, cachestat, lsm_list_modules, listns, and a call that no kernel has yet
for number in (457, 458, 451, 461, 470, 471, 599):
    attempt(f"call {number}", lambda number=number: call(number, 0, 0, 0, 0, 0, 0))
with open(sys.argv[2] + "/results.json", "w") as out:
    json.dump({"succeeded": succeeded}, out)
