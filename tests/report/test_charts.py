"""Where the charts of the report write the codes of languages."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from tarazu.report.charts import code_labels
from tarazu.report.languages import ReportLanguage


def test_no_code_is_written_on_the_mark_of_another_language() -> None:
    random = np.random.default_rng(5)
    ends = [tuple(map(float, end)) for end in random.uniform(30, 70, (40, 2))]
    languages = [ReportLanguage(code=f"{a}{b}", name="", group="high") for a in "abcdefgh" for b in "vwxyz"]
    ax = Figure().subplots()
    ax.set(xlim=(0, 100), ylim=(0, 100))
    code_labels(ax, [(one, (50.0, 50.0), (x, y)) for one, (x, y) in zip(languages, ends, strict=True)], [], 1.0)
    written = [text.get_position() for text in ax.texts]
    assert len(written) > 5
    # A letter is two units wide and a mark too; a line of text is some four units high.
    assert [(x, y) for x, y in written for u, v in ends if abs(x - u) < 3 and abs(y - v) < 2.5] == []
