"""The system calls that a sealed program is refused, as a filter that bubblewrap loads."""

from __future__ import annotations

import errno
import socket
import tempfile
from typing import IO, Any

# Each opens a door that a re-run has no use for: other processes' memory, kernel interfaces with a long record of
# defects, mounts and namespaces, and memory that no limit counts (memfd and System V segments outlive their mapping).
_REFUSED = (
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise", "mount",
    "umount2", "pivot_root", "chroot", "unshare", "setns", "fsopen", "fsconfig", "fsmount", "fspick",
    "move_mount", "open_tree", "mount_setattr", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "add_key", "keyctl", "request_key", "init_module", "finit_module",
    "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "syslog",
    "quotactl", "name_to_handle_at", "open_by_handle_at", "fanotify_init", "lookup_dcookie", "nfsservctl",
    "vmsplice", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname",
    "setdomainname", "iopl", "ioperm", "vhangup", "memfd_create", "memfd_secret", "shmget", "shmat", "semget",
    "msgget", "mq_open", "migrate_pages", "move_pages", "mbind", "set_mempolicy",
)  # fmt: skip
_CLONE_NEW_ANY = (0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00020000)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C


def filter_file() -> IO[bytes]:
    """An open file with the filter as a BPF program. Raises ImportError or RuntimeError where pyseccomp or the system's
    libseccomp is missing: there is no sandbox without it."""
    import pyseccomp

    # What is not this machine's own architecture (32-bit calls, say) would pass by other numbers: it kills.
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    rules.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    for name in _REFUSED:
        _refuse(rules, pyseccomp.ERRNO(errno.EPERM), name)
    # clone3 passes its flags in memory, where a filter cannot look; the C library then falls back on clone.
    _refuse(rules, pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for flag in _CLONE_NEW_ANY:
        _refuse(rules, pyseccomp.ERRNO(errno.EPERM), "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    for request in (_TIOCSTI, _TIOCLINUX):
        masked = pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFFFFFFFF, request)
        _refuse(rules, pyseccomp.ERRNO(errno.EPERM), "ioctl", masked)
    # The network namespace is empty, but vsock and other families do not heed it.
    no_family = pyseccomp.ERRNO(errno.EAFNOSUPPORT)
    _refuse(rules, no_family, "socket", pyseccomp.Arg(0, pyseccomp.NE, int(socket.AF_UNIX)))
    program = tempfile.TemporaryFile()  # noqa: SIM115 (the caller's to close)
    rules.export_bpf(program)
    program.seek(0)
    return program


def _refuse(rules: Any, action: int, name: str, *arguments: Any) -> None:
    import pyseccomp

    # -1: this libseccomp has not heard of the call (the kernel that it was made for had none).
    if pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) != -1:
        rules.add_rule(action, name, *arguments)
