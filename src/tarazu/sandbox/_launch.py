"""Runs inside the sandbox, as its first program: limits, an unprivileged user, the command, and the file it left.

`python -I -S _launch.py ORDERS`, orders being JSON: `{command, out, result, cap, uid, limits, answer}`. It answers on
descriptor `answer` with one line of JSON, `{exit, problem}`, and the bytes of the result file. Whoever reads the answer
must take it for the sealed program's own words: that program can write there too. It imports next to nothing, since
every sealed run pays for it.
"""

import json
import os
import resource
import stat
import sys


def _take_result(path: str, cap: int) -> tuple[str, bytes]:
    """What stands in the way of reading `path`, or nothing, and its bytes."""
    try:
        # No link is followed, and a pipe does not make the reader wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return "it wrote no result", b""
    except OSError as error:
        return f"its result cannot be read: {error.strerror}", b""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return "its result is not a plain file", b""
    if found.st_size > cap:
        return f"its result is larger than {cap} bytes", b""
    data = b""
    while len(data) <= cap and (more := os.read(descriptor, 1 << 20)):
        data += more
    return ("", data) if len(data) <= cap else (f"its result is larger than {cap} bytes", b"")


def main() -> None:
    orders = json.loads(sys.argv[1])
    answer = orders["answer"]
    os.set_inheritable(answer, False)
    for name, value in orders["limits"].items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if orders["uid"] is not None:
        os.setgroups([])
        os.setresgid(orders["uid"], orders["uid"], orders["uid"])
        os.setresuid(orders["uid"], orders["uid"], orders["uid"])
    os.mkdir(orders["out"], 0o700)
    child = os.fork()
    if child == 0:
        try:
            os.execve(orders["command"][0], orders["command"], dict(os.environ))
        except OSError as error:
            os.write(2, f"{orders['command'][0]}: {error.strerror}\n".encode())
        os._exit(127)
    status = os.waitpid(child, 0)[1]
    problem, data = _take_result(os.path.join(orders["out"], orders["result"]), orders["cap"])
    head = json.dumps({"exit": os.waitstatus_to_exitcode(status), "problem": problem}) + "\n"
    with os.fdopen(answer, "wb") as stream:
        stream.write(head.encode() + data)


if __name__ == "__main__":
    main()
