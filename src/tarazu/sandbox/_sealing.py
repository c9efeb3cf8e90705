"""The sandbox's configuration: bubblewrap's arguments (namespaces, files, environment) and the system-call filter."""

from __future__ import annotations

import contextlib
import errno
import os
import site
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import tarazu
from tarazu.sandbox.limits import Limits

FOLDER, OUT = "/record", "/tmp/out"
"""Paths inside the sandbox: the program's input files, and the empty folder for its result."""
PACKAGE = Path(tarazu.__file__).resolve().parent


def arguments(folder: Path, etc: Path, limits: Limits, also: Sequence[Path], threads: int | None) -> list[str]:
    """bubblewrap's arguments for a program that sees `folder` at FOLDER, `etc` at /etc and `also` at their own paths.

    `threads` is the number of threads that numerical libraries use. None means one per core, within the limits.
    """
    # /tmp is mounted first. Python or its packages may be below it, and a later mount would hide them.
    parts = (_namespaces(), _tmp(limits), _files(folder, etc, also), _mounts(limits), _environment(limits, threads))
    return [argument for part in parts for argument in part]


def _namespaces() -> Iterator[str]:
    yield from ("--die-with-parent", "--new-session", "--hostname", "record")
    yield from ("--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try")
    yield from ("--cap-drop", "ALL")
    if os.geteuid() == 0:
        # Root needs no user namespace. The launcher switches to a user ID that owns nothing and so loses these two.
        yield from ("--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID")
    else:
        yield from ("--unshare-user", "--uid", "65534", "--gid", "65534")


def _tmp(limits: Limits) -> Iterator[str]:
    yield from ("--perms", "1777", "--size", str(limits.file_mib << 20), "--tmpfs", "/tmp")


def _files(folder: Path, etc: Path, also: Sequence[Path]) -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        system = Path("/") / name
        if system.is_symlink():
            yield from ("--symlink", os.readlink(system), str(system))
        elif system.is_dir():
            yield from ("--ro-bind", str(system), str(system))
    bound = dict.fromkeys([*python_folders(), *map(str, also)])
    parents = {str(folder) for path in bound for folder in Path(path).parents} - {"/", "/tmp"}
    for path in sorted(parents):  # by default, bubblewrap would create them readable by their owner only
        yield from ("--perms", "0755", "--dir", path)
    for path in bound:
        yield from ("--ro-bind", path, path)
    yield from ("--ro-bind", str(etc), "/etc", "--ro-bind-try", "/etc/alternatives", "/etc/alternatives")
    yield from ("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache")
    yield from ("--ro-bind", str(folder), FOLDER)


def python_folders() -> list[str]:
    """The folders of this Python and its packages, except those in /usr."""
    folders = [sys.base_prefix, sys.prefix, sys.base_exec_prefix, str(PACKAGE)]
    if site.ENABLE_USER_SITE and os.path.isdir(site.getusersitepackages()):
        folders.append(site.getusersitepackages())
    outside = [path for path in folders if path != "/usr" and not path.startswith("/usr/")]
    return [path for path in outside if not any(path.startswith(other + "/") for other in outside)]


def _mounts(limits: Limits) -> Iterator[str]:
    yield from ("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev")
    # Only root can write kernel settings. These mounts protect them even if the user inside is the host's root.
    for name in ("/proc/sys", "/proc/sysrq-trigger"):
        yield from ("--ro-bind-try", name, name)
    yield from ("--perms", "1777", "--size", str(min(64, limits.file_mib) << 20), "--tmpfs", "/dev/shm")
    yield from ("--chdir", "/tmp", "--remount-ro", "/")


def _environment(limits: Limits, threads: int | None) -> Iterator[str]:
    # By default, a library starts a thread for every core. Threads count as processes.
    count = str(max(1, min(threads or os.cpu_count() or 1, limits.processes // 8)))
    packages = [str(PACKAGE.parent)]
    if site.ENABLE_USER_SITE:
        packages.append(site.getusersitepackages())
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "USER": "nobody",
        "LOGNAME": "nobody",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": ":".join(packages),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "MPLCONFIGDIR": "/tmp/matplotlib",
    }
    yield "--clearenv"
    for name, value in variables.items():
        yield from ("--setenv", name, value)


def write_minimal_etc(folder: Path) -> Path:
    """Write an /etc that reveals nothing about the host: two users, and mount points for other files."""
    (folder / "passwd").write_text(
        "root:x:0:0::/:/bin/false\nnobody:x:65534:65534::/tmp:/bin/false\n", encoding="utf-8"
    )
    (folder / "group").write_text("root:x:0:\nnogroup:x:65534:\n", encoding="utf-8")
    (folder / "alternatives").mkdir()
    (folder / "ld.so.cache").touch()
    os.chmod(folder, 0o755)
    return folder


# --- system calls --------------------------------------------------------------------------------


# A re-run needs none of these calls. They reach other processes' memory, kernel interfaces with a long history of
# defects, mounts, namespaces, and memory that no limit counts: memfd and System V segments outlive their mapping, and
# the buffers of sockets, watches and rings of requests belong to the kernel.
_REFUSED = (
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise", "mount",
    "umount2", "pivot_root", "chroot", "unshare", "setns", "fsopen", "fsconfig", "fsmount", "fspick",
    "move_mount", "open_tree", "mount_setattr", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "add_key", "keyctl", "request_key", "init_module", "finit_module",
    "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "acct", "syslog",
    "quotactl", "name_to_handle_at", "open_by_handle_at", "fanotify_init", "lookup_dcookie", "nfsservctl",
    "vmsplice", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "stime", "sethostname",
    "setdomainname", "iopl", "ioperm", "vhangup", "memfd_create", "memfd_secret", "shmget", "shmat", "semget",
    "msgget", "mq_open", "migrate_pages", "move_pages", "mbind", "set_mempolicy", "modify_ldt", "socketpair",
    "inotify_init", "inotify_init1", "io_setup", "quotactl_fd", "mount_setattr", "process_mrelease",
)  # fmt: skip
# By number, which is the same on every architecture since 424: the calls up to here that a re-run may need (waiting,
# modes and extended attributes of files, sealing of memory). Names of others may be unknown to this libseccomp.
_KNOWN_NEW = {
    *(424, 434, 435, 436, 437, 439, 440, 441, 444, 445, 446, 449, 450, 452),
    *(453, 454, 455, 456, 462, 463, 464, 465, 466),
}
_FIRST_NEW, _LAST_NEW = 424, 600
_CLONE_NEW_ANY = (0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000, 0x00020000)
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_SETPIPE = 1031
"""The command of fcntl that enlarges a pipe's buffer."""


def filter_file() -> IO[bytes]:
    """Return an open file that holds the filter as a BPF program.

    Raises ImportError or RuntimeError if pyseccomp or the system's libseccomp is missing. The sandbox requires both.
    """
    import pyseccomp

    # Calls of another architecture (such as 32-bit calls) have other numbers, which the rules below would miss.
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    rules.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
    for name in _REFUSED:
        _refuse(rules, pyseccomp.ERRNO(errno.EPERM), name)
    # clone3 passes its flags in memory, which a filter cannot read. The C library then falls back to clone.
    _refuse(rules, pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for flag in _CLONE_NEW_ANY:
        _refuse(rules, pyseccomp.ERRNO(errno.EPERM), "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    for request in (_TIOCSTI, _TIOCLINUX):
        masked = pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFFFFFFFF, request)
        _refuse(rules, pyseccomp.ERRNO(errno.EPERM), "ioctl", masked)
    # The network namespace is empty, but it does not confine vsock and some other address families. A socket of any
    # family has buffers in the kernel, which the sender may enlarge to megabytes.
    _refuse(rules, pyseccomp.ERRNO(errno.EAFNOSUPPORT), "socket")
    _refuse(rules, pyseccomp.ERRNO(errno.EPERM), "fcntl", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, 0xFFFFFFFF, _SETPIPE))
    # Calls of later kernels, such as statmount, listmount, cachestat and listns, are as if the kernel were older.
    for number in range(_FIRST_NEW, _LAST_NEW):
        if number not in _KNOWN_NEW:
            with contextlib.suppress(RuntimeError, OSError):  # it has a rule already
                rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), number)
    program = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    rules.export_bpf(program)
    program.seek(0)
    return program


def _refuse(rules: Any, action: int, name: str, *arguments: Any) -> None:
    import pyseccomp

    # -1 means that this version of libseccomp does not know the call.
    if pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) != -1:
        rules.add_rule(action, name, *arguments)
