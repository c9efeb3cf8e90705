"""First program inside the sandbox: sets limits and an unprivileged user, runs the command, returns the result file.

Usage: `python -I -S _launch.py JOB`, where JOB is a JSON object `{command, out, result, cap, uid, limits, answer}`. The
launcher writes one line of JSON, `{exit, problem}`, and then the bytes of the result file to the descriptor `answer`.
The sandboxed program can write there too, so the reader must not trust the answer more than the program itself. Every
sandboxed run starts this file, so it imports very little.
"""

import json
import os
import resource
import stat
import sys


def _take_result(path: str, cap: int) -> tuple[str, bytes]:
    """Why `path` cannot be read (empty if it can), and its bytes."""
    try:
        # Follow no link, and do not wait for a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return "it wrote no result", b""
    except OSError as error:
        return f"its result cannot be read: {error.strerror}", b""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return "its result is not a plain file", b""
    if status.st_size > cap:
        return f"its result is larger than {cap} bytes", b""
    data = b""
    while len(data) <= cap and (more := os.read(descriptor, 1 << 20)):
        data += more
    return ("", data) if len(data) <= cap else (f"its result is larger than {cap} bytes", b"")


def main() -> None:
    job = json.loads(sys.argv[1])
    answer = job["answer"]
    os.set_inheritable(answer, False)
    for name, value in job["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if job["uid"] is not None:
        os.setgroups([])
        os.setresgid(job["uid"], job["uid"], job["uid"])
        os.setresuid(job["uid"], job["uid"], job["uid"])
    os.mkdir(job["out"], 0o700)
    child = os.fork()
    if child == 0:
        try:
            os.execve(job["command"][0], job["command"], dict(os.environ))
        except OSError as error:
            os.write(2, f"{job['command'][0]}: {error.strerror}\n".encode())
        os._exit(127)
    status = os.waitpid(child, 0)[1]
    problem, data = _take_result(os.path.join(job["out"], job["result"]), job["cap"])
    head = json.dumps({"exit": os.waitstatus_to_exitcode(status), "problem": problem}) + "\n"
    with os.fdopen(answer, "wb") as stream:
        stream.write(head.encode() + data)


if __name__ == "__main__":
    main()
