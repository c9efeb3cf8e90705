"""Documents as sections, and the check that they contain a claim's quotation."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from record_data import PAPER, pdf

from tarazu.errors import BadInput
from tarazu.record.claims.documents import Section, read_sections
from tarazu.record.claims.grounding import THRESHOLD, Grounding, ground, ground_in
from tarazu.record.model import SourceClaim

TEXT = "DPO raises the helpfulness rate from 25.0 to 75.0 percent, three times that of the base model."


def claim(quote: str, **more: object) -> SourceClaim:
    return SourceClaim.model_validate(
        {"kind": "source_grounded", "id": "c", "statement": "s", "source": "sources/a.md", "quote": quote, **more}
    )


def match_in(text: str, quote: str, **more: object) -> Grounding:
    return ground_in([Section(heading="Results", level=1, text=text)], claim(quote, **more))


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def facts(sections: list[Section]) -> list[tuple[int, str, str]]:
    return [(section.level, section.heading, section.text) for section in sections]


def test_markdown_becomes_sections() -> None:
    sections = read_sections(PAPER / "paper.md")
    assert [(section.level, section.heading) for section in sections] == [
        (1, "Does DPO cost safety? A made-up paper"),
        (2, "1. Method"),
        (2, "2. Results"),
        (3, "2.1 Helpfulness"),
        (3, "2.2 Safety"),
        (2, "3. Conclusion"),
    ]
    assert sections[3].text == TEXT
    assert "62.5" in sections[2].text  # of the table


def test_html_becomes_sections_of_visible_text(tmp_path: Path) -> None:
    page = write(
        tmp_path / "a.html",
        "<html><head><title>not this</title><script>var no = 'this';</script></head><body>before"
        "<h1>Pa<b>p</b>er</h1><p>Two <i>wo</i>rds<br>more</p><p hidden>not this</p>"
        "<p style='display: none'>nor this</p>"
        "<div><h2>Results<br>of 2026</h2><ul><li>one</li><li>two</li></ul><!-- nor this --></div></body></html>",
    )
    assert facts(read_sections(page)) == [
        (1, "", "before"),
        (1, "Paper", "Two words more"),
        (2, "Results of 2026", "one two"),
    ]


def test_pdf_becomes_sections_by_font(tmp_path: Path) -> None:
    document = write(
        tmp_path / "a.pdf",
        pdf(
            [
                ("A made-up paper (for a test)", 18, "B"),
                ("Abstract", 12, "B"),
                ("We find that alignment raises help-", 10, "R"),
                ("fulness from 25.0 to 75.0 percent.", 10, "R"),
                ("2.1 Results", 10, "B"),
                ("Yoruba gains most.", 10, "R"),
            ]
        ),
    )
    assert facts(read_sections(document)) == [
        (1, "A made-up paper (for a test)", ""),
        (2, "Abstract", "We find that alignment raises helpfulness from 25.0 to 75.0 percent."),
        (3, "2.1 Results", "Yoruba gains most."),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.md", b"# Results\n\ncaf\xe9", "byte 15 (0xe9) is not UTF-8"),
        ("a.html", b"\xff<p>x</p>", "byte 1 (0xff) is not UTF-8"),
        ("a.pdf", b"%PDF-1.4\nnothing", "not a valid PDF"),
        ("b.pdf", pdf([("A page without a word follows", 10, "R")])[:-300], "not a valid PDF"),
        ("a.md", b"", "has no text"),
        ("scan.pdf", pdf([]), "has no text"),
        ("a.docx", b"x", "not a supported document; give .pdf, .html"),
    ],
)
def test_unreadable_documents_are_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = write(tmp_path / name, content)
    if name == "b.pdf":  # cut in the middle of an object: pypdf repairs what it can, but no page is left
        path.write_bytes(content[: content.index(b"/Contents")])
    with pytest.raises(BadInput) as refused:
        read_sections(path)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


def test_a_damaged_pdf_is_read_or_refused(tmp_path: Path) -> None:
    intact = pdf([("A made-up paper", 18, "B"), ("We find that alignment raises helpfulness.", 10, "R")])
    draw = random.Random(1)
    read = 0
    for _ in range(60):
        damaged = bytearray(intact)
        for _ in range(draw.randint(1, 8)):
            at = draw.randrange(len(damaged))
            if draw.random() < 0.7:
                damaged[at] = draw.randrange(256)
            else:
                del damaged[at : at + draw.randint(1, 30)]
        try:
            read += bool(read_sections(write(tmp_path / "a.pdf", bytes(damaged))))
        except BadInput as error:
            assert str(tmp_path / "a.pdf") in str(error)
    filter_unknown = intact.replace(b"/FlateDecode", b"/FlateDecoda")
    with pytest.raises(BadInput, match="not a valid PDF"):
        read_sections(write(tmp_path / "a.pdf", filter_unknown))
    assert 0 < read < 60


def test_a_document_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tarazu.record.claims.documents.LARGEST", 4)
    with pytest.raises(BadInput, match="has 5 bytes; a document of at most 4"):
        read_sections(write(tmp_path / "a.md", "12345"))


def test_a_quotation_is_found_with_section_and_passage() -> None:
    match = ground(
        PAPER / "paper.md", claim("from 25.0 to 75.0 percent, three times", section="Helpfulness", number=75)
    )
    assert (match.is_grounded, match.score, match.section) == (True, 100.0, "2.1 Helpfulness")
    assert match.passage == "from 25.0 to 75.0 percent, three times"


def test_a_section_includes_only_its_subsections() -> None:
    quote = "the helpfulness rate from 25.0 to 75.0 percent"
    assert ground(PAPER / "paper.md", claim(quote, section="Results")).section == "2.1 Helpfulness"
    outside = ground(PAPER / "paper.md", claim(quote, section="Conclusion"))
    assert not outside.is_grounded and outside.score < THRESHOLD
    missing = ground(PAPER / "paper.md", claim(quote, section="Appendix"))
    assert "no section 'Appendix'; it has: Does DPO cost safety?" in str(missing.problem)


@pytest.mark.parametrize(
    "quote",
    [
        TEXT,
        "DPO raises  the\nhelpfulness rate",  # white space
        "raises the help-fulness rate from 25.0",  # a word broken at a line's end
        "25.0 to 75.0 percent – three times that of the base model",  # a dash for a comma
        "“DPO raises the helpfulness rate”",  # quotation marks
    ],
)
def test_typesetting_may_differ(quote: str) -> None:
    assert match_in(TEXT, quote).problem is None


@pytest.mark.parametrize(
    ("quote", "why"),
    [
        ("DPO raises the helpfulness rate from 25.0 to 76.0 percent", "words of the closest passage differ"),
        ("DPO raises the helpfulness rate from 25.0 to 7.50 percent", "numbers in the closest passage differ"),
        ("DPO raises the unhelpfulness rate from 25.0 to 75.0 percent", "words of the closest passage differ"),
        (
            "DPO raises the helpfulness rate from 25.0 to 75.0 percent, not three times",
            "words of the closest passage differ",
        ),
        ("The weather in Yoruba is warm and the days are long.", "%, below 90 %"),
        ("the base", "fewer than 12 letters"),
    ],
)
def test_other_words_or_numbers_do_not_match(quote: str, why: str) -> None:
    match = match_in(TEXT, quote)
    assert not match.is_grounded
    assert why in str(match.problem)


def test_part_of_a_word_does_not_match() -> None:
    assert not match_in("All unsafe models are refused here.", "safe models are refused here").is_grounded
    assert not match_in("The rate is 120 percent of the base.", "Now the rate is 12").is_grounded
    assert not match_in("At last the rate is 75.3 percent.", "At last the rate is 75").is_grounded


def test_a_text_shorter_than_the_quotation_does_not_match() -> None:
    match = match_in("DPO raises", "DPO raises the helpfulness rate from 25.0 to 75.0 percent")
    assert not match.is_grounded


def test_the_quotation_must_contain_the_claims_number() -> None:
    assert match_in(TEXT, "the helpfulness rate from 25.0 to 75.0", number=25).is_grounded
    assert "does not contain the number 50" in str(match_in(TEXT, "rate from 25.0 to 75.0 percent", number=50).problem)
    assert match_in("It costs 10,895 seconds to train.", "It costs 10,895 seconds", number=10895).is_grounded


def test_quotations_work_in_scripts_without_spaces() -> None:
    text = "我们发现对齐后的模型在低资源语言中更有帮助,但是无害性下降。"
    assert match_in(text, "对齐后的模型在低资源语言中更有帮助").is_grounded
    assert not match_in(text, "对齐后的模型在高资源语言中更有帮助").is_grounded
