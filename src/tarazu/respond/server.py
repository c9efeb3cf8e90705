"""A client of servers with OpenAI's protocol.

Temporary failures (too many requests, a server error, a timeout, a lost connection, broken JSON) are retried, and each
wait is twice as long as the one before. A request that cannot succeed is reported at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, TypeVar

import httpx2

from tarazu.errors import BadInput, TarazuError
from tarazu.study.generation import Server

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")

_RETRIED = {408, 409, 425, 429}
"""Statuses below 500 that ask the client to try again later."""
_LONGEST_WAIT = 60.0  # seconds


class TemporaryFailure(Exception):
    """A failure that may pass, with the number of seconds that the server asks to wait."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class ServerClient:
    """Sends requests to one address of a server. `key` is the server's in the study, for messages, and `kept` says what
    is kept of the work if the server fails."""

    def __init__(
        self, server: Server, path: str, *, key: str, kept: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.server, self.key, self.kept, self.sleep = server, key, kept, sleep
        self.url = server.url.rstrip("/") + path
        secret = os.environ.get(server.key_variable, "")
        self._client = httpx2.Client(
            headers={"Authorization": f"Bearer {secret}"} if secret else {},
            timeout=httpx2.Timeout(server.timeout, connect=min(server.timeout, 10.0)),
            limits=httpx2.Limits(max_connections=server.concurrency),
        )

    def close(self) -> None:
        self._client.close()

    def retried(self, attempt: Callable[[], Outcome]) -> Outcome:
        """The outcome of `attempt`, with retries. Raises TarazuError if the server does not recover."""
        wait = self.server.first_wait
        for left in range(self.server.retries, -1, -1):
            try:
                return attempt()
            except TemporaryFailure as failure:
                if not left:
                    raise TarazuError(
                        f"{self.key}: {self.url}: {failure}, {self.server.retries + 1} times; {self.kept}: fix the "
                        "server and run again"
                    ) from None
                self.sleep(min(max(wait, failure.wait), _LONGEST_WAIT))
                wait *= 2
        raise AssertionError("unreachable")

    def post(self, body: dict[str, Any]) -> httpx2.Response:
        try:
            return self._client.post(self.url, json=body)
        except httpx2.TimeoutException:
            raise TemporaryFailure(f"no answer within {self.server.timeout:g} s") from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise BadInput(f"{self.key}.url: {self.url}: {error}; give it as http://host:port/v1") from None
        except httpx2.TransportError as error:
            raise TemporaryFailure(f"the connection failed ({type(error).__name__}: {error})") from None

    def accepted(self, answer: httpx2.Response) -> httpx2.Response:
        """The answer, if the server took the request. Raises BadInput for one that it refuses."""
        if answer.status_code in _RETRIED or answer.status_code >= 500:
            raise TemporaryFailure(f"answered {answer.status_code}", _seconds(answer.headers.get("Retry-After")))
        if answer.status_code != 200:
            message = " ".join(answer.text.split())[:200]
            raise BadInput(
                f"{self.key}: {self.url}: answered {answer.status_code} for model {self.server.model}: {message}; "
                f"check url, model and {self.server.key_variable}"
            )
        return answer

    def in_parallel(
        self, jobs: Sequence[Job], work: Callable[[Job], Outcome], done: Callable[[int, Outcome, int], None]
    ) -> None:
        """Work on all jobs, as many at once as the server may be queried. `done` is called with the place of each job,
        its outcome and the number of those that are finished, as they come."""
        with ThreadPoolExecutor(self.server.concurrency) as pool:
            futures = {pool.submit(work, job): place for place, job in enumerate(jobs)}
            try:
                for count, future in enumerate(as_completed(futures), 1):
                    done(futures[future], future.result(), count)
            except BaseException:
                # A request that cannot succeed fails the work, so the remaining ones are cancelled.
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _seconds(value: str | None) -> float:
    try:
        return max(0.0, float(value or 0))
    except ValueError:
        return 0.0
