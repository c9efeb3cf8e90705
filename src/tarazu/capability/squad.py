"""Exact match and F1 of an extracted answer (Rajpurkar et al. 2016, sec. 6), for the harness's XQuAD.

The harness's own XQuAD imports them from `transformers.data.metrics.squad_metrics`, which transformers 5 has removed.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def words(text: str) -> list[str]:
    """Lower-case words without (ASCII) punctuation and English articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def exact_match(answer: str, reference: str) -> int:
    return int(words(answer) == words(reference))


def f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall of the answer's words. If one text has no words, whether both have none."""
    answer_words, wanted = words(answer), words(reference)
    if not answer_words or not wanted:
        return float(answer_words == wanted)
    shared = sum((Counter(answer_words) & Counter(wanted)).values())
    return 2 * shared / (len(answer_words) + len(wanted))


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """The metrics of one answer, as the harness expects them of a task."""
    reference = doc["answers"]["text"][0]
    return {"f1": f1(results[0], reference), "exact_match": exact_match(results[0], reference)}
