"""What a reader is told: authors, licence, question, abstract, limitations."""

from __future__ import annotations

import re
from typing import Final

from tarazu.assessment.facts import Facts, text
from tarazu.assessment.reviewers.rules import Answer, Rule

_HOW_SURE: Final = re.compile(
    r"interval|±|\bCI\b|\bp\s*[=<]|standard error|\[[^\]]*\d[^\]]*,[^\]]*\d[^\]]*\]", re.IGNORECASE
)


def _authors(facts: Facts) -> Answer:
    count = len(facts.record.manifest.work.authors)
    return count > 0, f"{count} named."


def _license(facts: Facts) -> Answer:
    license = facts.record.manifest.work.license
    return license is not None, f"{license or 'None stated'}."


def _title(facts: Facts) -> Answer:
    title = facts.record.manifest.work.title
    own = title.strip().casefold() != "scores made elsewhere" and len(title.split()) >= 3
    return own, f"{len(title.split())} words." if own else "It does not say what the work is about."


def _question(facts: Facts) -> Answer:
    asked = facts.record.manifest.work.research_question.strip().endswith(("?", "؟", "？"))
    return asked, "It is a question." if asked else "It does not end with a question mark."


def _abstract_numbers(facts: Facts) -> Answer:
    abstract = facts.record.manifest.work.abstract
    told = len(abstract) >= 100 and any(letter.isdigit() for letter in abstract)
    return told, f"{len(abstract)} characters, {'with' if any(map(str.isdigit, abstract)) else 'no'} numbers."


def _abstract_sure(facts: Facts) -> Answer:
    told = _HOW_SURE.search(facts.record.manifest.work.abstract) is not None
    return told, "It tells an interval or a test." if told else "It tells no interval and no test."


def _limitations(facts: Facts) -> Answer:
    count = len(facts.record.manifest.limitations)
    return count > 0, f"{count} listed."


def _caution(facts: Facts) -> Answer:
    caution = text(facts.results, "study", "caution")
    if not caution:
        return None, "The study has no caution."
    told = caution in facts.record.manifest.limitations
    return told, "The study's caution is among the limitations." if told else "The study's caution is left out."


def _links(facts: Facts) -> Answer:
    count = len(facts.record.manifest.links)
    return count > 0, f"{count} links."


RULES: Final = (
    Rule("authors", "Are the authors named?", 2, _authors, "--author 'Family, Given'."),
    Rule("licence", "Is a licence stated?", 2, _license, "--license with an SPDX identifier such as CC-BY-4.0."),
    Rule("title", "Does the title say what the work is about?", 1, _title, "--title, or `title` in the study."),
    Rule("question", "Is the research question a question?", 1, _question, "--question, ending with a question mark."),
    Rule("abstract-numbers", "Does the abstract tell what was found, in numbers?", 2, _abstract_numbers, "--abstract."),
    Rule("abstract-sure", "Does the abstract tell how sure it is?", 2, _abstract_sure, "Give the interval in it."),
    Rule(
        "limitations",
        "Are limitations listed?",
        2,
        _limitations,
        "Say what the data cannot show (caution in the study).",
    ),
    Rule("caution", "Is the study's own caution among them?", 1, _caution, "Build again with this version."),
    Rule("links", "Is there a link to a page about the work?", 1, _links, "--link with its address."),
)
