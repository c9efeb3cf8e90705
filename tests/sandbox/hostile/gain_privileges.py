"""Become root again, or reach the kernel: user IDs, namespaces, mounts, tracing, memory that no limit counts."""

import ctypes
import json
import os
import sys
from pathlib import Path

out = Path(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
done = []


def call(name, function, *arguments):
    try:
        if function(*arguments) != -1:
            done.append(name)
    except OSError:
        pass


call("setuid", os.setuid, 0)
call("setgroups", os.setgroups, [0])
for flag in (0x10000000, 0x00020000, 0x40000000, 0x20000000):
    call(f"unshare {flag:x}", libc.unshare, flag)
call("mount", libc.mount, b"none", b"/tmp", b"tmpfs", 0, None)
call("umount", libc.umount2, b"/etc", 2)
call("chroot", os.chroot, "/tmp")
call("ptrace", libc.ptrace, 0, 0, 0, 0)
call("personality of another architecture", libc.syscall, 0x40000000 + 39) if os.uname().machine == "arm64" else None
call("keyctl", libc.syscall, 250, 0, -3, 1) if os.uname().machine == "x86_64" else None
call("memfd_create", libc.memfd_create, b"x", 0)
call("shmget", libc.shmget, 0, 4096, 0o1600)
call("sethostname", libc.sethostname, b"x", 1)
call("mknod", libc.mknod, b"/tmp/disk", 0o060666, 0xFD00)
call("kill the host's first process", os.kill, os.getppid(), 0) if os.getppid() == 0 else None
status = Path("/proc/self/status").read_text()
held = [line for line in status.splitlines() if line.startswith(("CapEff", "CapPrm", "CapAmb"))]
done += [line for line in held if int(line.split()[1], 16)]
(out / "results.json").write_text(json.dumps({"succeeded": done}))
