"""A run with texts to rate, hostile ones among them, and the page that `tarazu label` serves for it."""

from __future__ import annotations

import csv
import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.site.label.ratings import Ratings, write_design
from tarazu.site.label.sample import Sample, draw_from_run
from tarazu.site.label.serve import label_application
from tarazu.site.web import settings_of

ARMS = ("orchid", "walrus")
TOKEN = "a-token-of-the-tests"
TEXTS = {
    "en": ("What is {}?", "<script>window.hacked = 1</script><img src=x onerror=window.hacked=2> {} \u202eevil\u0007"),
    "ur": ("سوال {}: آپ کا کیا حال ہے؟", "جواب {}: میں <b>ٹھیک</b> ہوں، شکریہ۔"),
    "sw": ("Swali {}?", "Jibu {}."),
}
"""A prompt and a response in each language; {} is the prompt's number."""


def write_table(path: Path, prompts: int = 6) -> Path:
    """A table of scores with texts."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["arm", "language", "kind", "prompt_id", "reward", "prompt", "response"])
        for language, (prompt, response) in TEXTS.items():
            for kind in ("harmful", "benign"):
                for index in range(prompts):
                    for place, arm in enumerate(ARMS):
                        reward = (index * 7 + place * 3) % 5 - 4
                        texts = [prompt.format(index), response.format(index + 10 * place)]
                        rows.writerow([arm, language, kind, f"{kind}-{index}", reward, *texts])
    return path


def write_run(folder: Path, prompts: int = 6) -> Path:
    """The folder of an analysis of such a table."""
    table = write_table(folder / "table.csv", prompts)
    analyze_file(table, AnalysisOptions(base=ARMS[0], overrides=["analysis.draws=200"]), out=folder / "run")
    return folder / "run"


class Served:
    """The page of one rater, at `port` of this machine."""

    ratings: Ratings
    sample: Sample

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}"

    def call(
        self, path: str, body: bytes | None = None, *, token: str = TOKEN, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """The status, headers and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"X-Tarazu-Token": token} | ({"Content-Type": "application/json"} if body is not None else {})
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET" if body is None else "POST", path, body, sent)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, dict(answer.headers), content

    def json(self, path: str) -> Any:
        status, _, body = self.call(path)
        assert status == 200, body
        return json.loads(body)

    def names(self) -> list[str]:
        """The names of the items, in the order of the page."""
        return [name for name, _ in self.json("/api/session")["items"]]


@contextmanager
def served(run: Path, rater: str = "amina", *, table: Path | None = None, **drawn: Any) -> Iterator[Served]:
    import uvicorn

    sample = draw_from_run(run, **({"per_cell": 2} | drawn))
    ratings = Ratings(table or run / "ratings.csv", rater)
    write_design(ratings, sample)
    application = label_application(sample, ratings, rater=rater, token=TOKEN)
    server = uvicorn.Server(settings_of(application, host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        page = Served(server.servers[0].sockets[0].getsockname()[1])
        page.ratings, page.sample = ratings, sample
        yield page
    finally:
        server.should_exit = True
        thread.join()


def rows_of(table: Path) -> list[dict[str, str]]:
    """The rows of a table of ratings."""
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
