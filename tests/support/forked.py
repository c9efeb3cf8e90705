"""`tarazu` in processes that start at once: a server imports the program, torch and transformers once, and forks itself
for every command. A command's process has its own environment, folder, streams and limits, and can be killed at a
chosen operation on a folder's files.

As a script this file is that server (`serve SOCKET`) or one command (`call SOCKET ARGUMENT...`).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

MODULES = (
    "tarazu.cli",
    "tarazu.run.pipeline",
    "tarazu.align.train",
    "tarazu.align.checkpoints",
    "tarazu.respond._transformers",
    "tarazu.run.plan",
    "transformers.models.opt.modeling_opt",
)
"""Imported once. They start no thread, which a fork would lose."""
WATCHED, OPERATIONS, KILL_AT = "FORKED_WATCHED", "FORKED_OPERATIONS", "FORKED_KILL_AT"
"""Variables of a command: the folder whose operations count, a file that gets one byte for each, and the number of the
one in front of which the process is killed."""
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate")


@contextlib.contextmanager
def server() -> Iterator[list[str]]:
    """A server, and the words before a command's arguments: `subprocess.run([*words, "run", "demo"])`."""
    import tarazu

    path = os.pathsep.join([str(Path(tarazu.__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory(prefix="tarazu-forks-") as folder:
        address = str(Path(folder, "socket"))
        process = subprocess.Popen(
            [sys.executable, __file__, "serve", address],
            stdin=subprocess.PIPE,  # the server ends when this is closed, also where this process is killed
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)},
        )
        assert process.stdin and process.stdout
        try:
            assert process.stdout.readline() == b"ready\n"
            yield [sys.executable, "-I", "-S", __file__, "call", address]
        finally:
            process.stdin.close()
            process.wait()
            process.stdout.close()


def count_operations(words: Sequence[str], arguments: Sequence[str], folder: Path) -> int:
    """Run a command to its end, and return how many operations it did on files in this folder."""
    count = folder.with_name(f"{folder.name}.operations")
    subprocess.run([*words, *arguments], env=os.environ | _watch(folder, count), check=True, capture_output=True)
    return count.stat().st_size


def kill_at(words: Sequence[str], arguments: Sequence[str], folder: Path, operation: int) -> bool:
    """Run a command, and kill it in front of this operation. Returns whether it came so far."""
    watch = _watch(folder, folder.with_name(f"{folder.name}.operations")) | {KILL_AT: str(operation)}
    done = subprocess.run([*words, *arguments], env=os.environ | watch, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def _watch(folder: Path, count: Path) -> dict[str, str]:
    count.write_bytes(b"")
    return {WATCHED: str(folder), OPERATIONS: str(count)}


def _call(address: str, arguments: list[str]) -> int:
    """Have a command run with this process's streams, and end as it ended."""
    limits = {name: resource.getrlimit(name) for name in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)}
    request = json.dumps([arguments, os.getcwd(), dict(os.environ), list(limits.items())]).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [len(request).to_bytes(8, "big")], [0, 1, 2])
        connection.sendall(request)
        status = int(connection.recv(16))
    if status < 0:
        os.kill(os.getpid(), -status)
    return status


def _serve(address: str) -> list[str]:
    """Fork for every command. Returns its arguments in the process that is to run it, and never in the server's own."""
    for module in MODULES:
        importlib.import_module(module)
    gc.freeze()  # so that a command's collections leave these modules' pages shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for a command
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                os._exit(0)
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as stream:
        arguments, folder, environment, limits = json.loads(stream.read(int.from_bytes(size, "big")))
    command = os.fork()
    if command:
        for number in streams:
            os.close(number)
        status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(str(status).encode())
        os._exit(0)
    connection.close()
    for target, number in enumerate(streams):
        os.dup2(number, target)
        os.close(number)
    os.chdir(folder)
    os.environ.clear()
    os.environ |= environment
    for name, limit in limits:
        resource.setrlimit(name, tuple(limit))
    if WATCHED in environment:
        _count(environment[WATCHED], environment[OPERATIONS], int(environment.get(KILL_AT, 0)))
    return list(arguments)


def _count(folder: str, count: str, last: int) -> None:
    """Count this process's operations on files in a folder, and kill it in front of the last."""
    number = os.open(count, os.O_WRONLY | os.O_APPEND)
    done = 0

    def hook(event: str, about: tuple[Any, ...]) -> None:
        nonlocal done
        writes = event in CHANGES or (event == "open" and about[2] & (os.O_WRONLY | os.O_RDWR))
        if not writes or not isinstance(about[0], str | os.PathLike) or not str(about[0]).startswith(folder):
            return
        done += 1
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(number, b".")

    sys.addaudithook(hook)


if __name__ == "__main__":
    if sys.argv[1] == "call":
        raise SystemExit(_call(sys.argv[2], sys.argv[3:]))
    sys.argv = ["tarazu", *_serve(sys.argv[2])]
    from tarazu.cli import main

    code = main(sys.argv[1:])
    # To take all modules apart, as an ordinary exit does, would take longer than many a command.
    sys.stdout.flush()
    sys.stderr.flush()
    atexit._run_exitfuncs()
    os._exit(code)
