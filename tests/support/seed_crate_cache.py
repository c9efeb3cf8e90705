"""Put the RO-Crate context into the validator's HTTP cache, so that it validates without a network.

CHECKERS/bin/python seed_crate_cache.py CONTEXT CACHE

Runs in the environment of the checkers (constraints-checkers.txt), not in that of the tests. The context's address is
asked for through the cache that the validator uses, from an adapter that answers with the file.
"""

import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests_cache import CachedSession

URL = "https://w3id.org/ro/crate/1.2/context"


class FromFile(HTTPAdapter):
    """Answers every request with a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        body = urllib3.HTTPResponse(
            body=BytesIO(self.path.read_bytes()),
            status=200,
            headers={"Content-Type": "application/ld+json"},
            preload_content=False,
            request_url=request.url,
        )
        return self.build_response(request, body)


def main(context: Path, cache: Path) -> None:
    with CachedSession(cache_name=str(cache), backend="sqlite", expire_after=-1) as session:
        session.mount("https://", FromFile(context))
        session.get(URL).raise_for_status()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
