"""Numbers in quotations, in the notations of papers. A document shows its notation by its other numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tarazu.record.claims.documents import Section, read_sections
from tarazu.record.claims.grounding import Grounding, ground, ground_in
from tarazu.record.model import SourceClaim


def claim(quote: str, number: float) -> SourceClaim:
    return SourceClaim(kind="source_grounded", id="c", statement="s", source="sources/a.md", quote=quote, number=number)


def match_in(text: str, quote: str, number: float) -> Grounding:
    return ground_in([Section(heading="Results", level=1, text=text)], claim(quote, number))


@dataclass(frozen=True)
class Locale:
    """How a locale writes numbers, from the tables of CLDR."""

    decimal: str
    group: str
    digits: str = "0123456789"
    lakh: bool = False

    def write(self, thousandths: int, places: int) -> str:
        """The number `thousandths` / 1000 with this many decimal places."""
        whole, part = divmod(abs(thousandths), 1000)
        text = str(whole)
        groups = []
        size = 3
        while len(text) > size:
            groups.append(text[-size:])
            text = text[:-size]
            size = 2 if self.lakh else 3
        text = self.group.join([text, *reversed(groups)])
        if places:
            text += self.decimal + f"{part:03d}"[:places]
        return ("\u2212" if thousandths < 0 else "") + text.translate(
            {ord(str(value)): digit for value, digit in enumerate(self.digits)}
        )


LOCALES = {
    "en": Locale(".", ","),
    "de": Locale(",", "."),
    "fr": Locale(",", "\u202f"),
    "ru": Locale(",", "\u00a0"),
    "de-CH": Locale(".", "’"),
    "si": Locale(".", "\u2009"),
    "en-IN": Locale(".", ",", lakh=True),
    "hi-Deva": Locale(".", ",", digits="०१२३४५६७८९", lakh=True),
    "ar-EG": Locale("٫", "٬", digits="٠١٢٣٤٥٦٧٨٩"),
    "fa": Locale("٫", "٬", digits="۰۱۲۳۴۵۶۷۸۹"),
    "lancet": Locale("·", " ", digits="0123456789"),
}
"""`lancet` has plain spaces, as a PDF gives them."""


@pytest.mark.parametrize("name", LOCALES)
@given(
    thousandths=st.integers(-9_999_999_999, 9_999_999_999),
    places=st.integers(0, 3),
    other=st.integers(-9_999_999_999, 9_999_999_999),
)
def test_a_number_is_grounded_in_the_notation_of_its_document_and_no_other_number_is(
    name: str, thousandths: int, places: int, other: int
) -> None:
    locale = LOCALES[name]
    thousandths -= thousandths % 10 ** (3 - places)
    written = locale.write(thousandths, places)
    text = (
        f"Tabela xaqaz {locale.write(12_500, 1)} % tolma. Nuvire {locale.write(1_234_567_000, 0)} meruta. "
        f"Kolima ventu {written} daresa polinu. Gavore hilma sotel."
    )
    number = thousandths / 1000
    quote = f"Kolima ventu {written} daresa polinu"
    assert match_in(text, quote, number).problem is None
    assert match_in(text, quote.replace("\u202f", " ").replace("\u2009", " "), number).problem is None
    for wrong in {other / 1000, -number, number * 1000, number / 1000, number + 1, number * 10} - {number}:
        assert not match_in(text, quote, wrong).is_grounded, wrong


PAPER = """<h1>A made-up note</h1><h2>Results</h2>
<p>The p value was .034 in the test of the primary question here.</p>
<p>Die Rate stieg um 12,5 Prozent auf 1.600 Antworten in der Tabelle.</p>
<p>We scored 1&#8239;600 responses of each arm, and none of them was empty in the end.</p>"""


@pytest.mark.parametrize(
    ("quote", "number", "wrong"),
    [
        ("The p value was .034 in the test of the primary question here", 0.034, 34),
        ("Die Rate stieg um 12,5 Prozent auf 1.600 Antworten in der Tabelle", 12.5, 125),
        ("Die Rate stieg um 12,5 Prozent auf 1.600 Antworten in der Tabelle", 1600, 1.6),
        ("auf 1.600 Antworten in der Tabelle", 1600, 1.6),  # its sentence has 12,5
        ("We scored 1 600 responses of each arm, and none of them", 1600, 600),
        ("We scored 1\u202f600 responses of each arm, and none of them", 1600, 1),
    ],
)
def test_one_document_with_three_notations(tmp_path: Path, quote: str, number: float, wrong: float) -> None:
    path = tmp_path / "paper.html"
    path.write_text(PAPER, encoding="utf-8")
    assert ground(path, claim(quote, number)).problem is None
    assert f"does not contain the number {wrong:g}" in str(ground(path, claim(quote, wrong)).problem)


def test_the_spaces_within_a_number_survive_reading(tmp_path: Path) -> None:
    path = tmp_path / "paper.md"
    path.write_text("# A\n\nOf 12\u202f345\u00a0678 rows,\u00a0 10\u00a0 % are\u2009here\u00a0\n", encoding="utf-8")
    assert read_sections(path)[0].text == "Of 12\u202f345\u00a0678 rows, 10 % are here"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("the loss fell to 1.842 after two epochs", 1.842),
        ("it took 10,895 seconds of one machine", 10895),
        ("a gain of 1,60,000 rupees for each of them", 160000),
        ("the slope was \u2212.25 in both of the groups", -0.25),
        ("the range was 10\u201320 points in both groups", 20),
        ("the learning rate of 2e-5 was used for all", 2e-5),
        ("we saw 3.5%of them in the end of the study", 3.5),
        ("as was shown before [12,15] with 1.250 points", 1.25),
        ("the rate rose from 7 to 12 on 3 of 4 tests", 4),
        ("version 1.2.3 of the program was used by us", 3),
        ("模型的无害率提高到75.3个百分点在所有低资源语言中", 75.3),
        ("우리는 각 모델에서 응답 1,600개를 평가하고 비교했다", 1600),
    ],
)
def test_other_forms(text: str, number: float) -> None:
    assert match_in(f"{text}.", text, number).problem is None
    assert not match_in(f"{text}.", text, number + 1).is_grounded


@pytest.mark.parametrize("number", [1.6, 1600])
def test_an_ambiguous_number_is_refused_with_both_readings(number: float) -> None:
    quote = "Tabela xaqaz 1.600 tolma nuvire"
    problem = str(match_in(f"{quote}.", quote, number).problem)
    assert f"does not contain the number {number:g} for certain: '1.600' is" in problem
    assert "does not show whether it writes decimals with a point or a comma" in problem


def test_a_number_in_the_other_notation_is_refused_with_its_value() -> None:
    quote = "auf 1.600 Antworten in der Tabelle"
    problem = match_in(f"Es stieg {quote}, also um 2,5 %.", quote, 1.6).problem
    assert problem == (
        "the quotation does not contain the number 1.6: '1.600' is 1600 here, "
        "as other numbers of the document and its language show"
    )


def test_a_number_beside_the_quotation_does_not_count() -> None:
    assert not match_in("In 2024 the rate was 75 percent of all.", "the rate was 75 percent of all", 2024).is_grounded
    # The quotation begins within a number of the document.
    assert not match_in("We scored 1\u202f600 responses of each arm.", "600 responses of each arm", 600).is_grounded


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("2.0 × 10⁻³", 2.0e-3),
        ("2.0×10⁻³", 2.0e-3),
        ("2.0 x 10^-3", 2.0e-3),
        ("2.0 · 10^{-3}", 2.0e-3),
        ("2.0 × 10−3", 2.0e-3),
        ("2.0 × 10–3", 2.0e-3),
        ("2.0 × 10-3", 2.0e-3),
        ("−2.5 × 10⁻¹²", -2.5e-12),
        ("3.1 × 10²", 310.0),
        ("3.1 × 10⁺²", 310.0),
        ("10⁻⁵", 1e-5),
        ("10^6", 1e6),
        ("1.2e-4", 1.2e-4),
        ("1.2E−4", 1.2e-4),
        ("5.0 %", 5.0),
        ("5.0\u00a0%", 5.0),
        ("5.0 per cent", 5.0),
        ("5.0 percent", 5.0),
    ],
)
def test_powers_of_ten_and_percent(written: str, number: float) -> None:
    text = f"The rate of the model was 12.5 in all. The learning rate was {written} throughout the experiment."
    quote = f"The learning rate was {written} throughout"
    assert match_in(text, quote, number).problem is None
    wrong = {number * 10, -number, number / 1000, number + 1, 10.0, 2.0, 3.1, 1.2, -3.0, 3.0, 4.0} - {number}
    assert [one for one in sorted(wrong) if match_in(text, quote, one).is_grounded] == []


def test_powers_of_ten_in_a_text_with_decimal_commas() -> None:
    text = "Die Rate betrug 12,5 Prozent. Die Lernrate war 2,5 · 10⁻³ im ganzen Versuch."
    assert match_in(text, "Die Lernrate war 2,5 · 10⁻³ im ganzen", 2.5e-3).problem is None
    assert match_in(text, "Die Lernrate war 2,5e-3 im ganzen", 2.5e-3).problem is None
    assert not match_in(text, "Die Lernrate war 2,5 · 10⁻³ im ganzen", 2.5).is_grounded
    assert not match_in(text, "Die Lernrate war 2,5 · 10³ im ganzen", 2500).is_grounded


def test_a_size_or_a_range_is_no_power_of_ten() -> None:
    text = "The grid of 4 x 10-20 cells and the image of 12 × 10 pixels were used by the model."
    for number in (4.0, 10.0, 12.0):
        assert match_in(text, "The grid of 4 x 10-20 cells and the image of 12 × 10 pixels", number).problem is None


@pytest.mark.parametrize(("exponent", "number"), [("3", 2000.0), ("-3", 0.002), ("−3", 0.002), ("–3", 0.002)])
def test_powers_of_ten_in_html(tmp_path: Path, exponent: str, number: float) -> None:
    path = tmp_path / "paper.html"
    path.write_text(f"<p>The learning rate was 2.0 × 10<sup>{exponent}</sup> in all of the runs.</p>", "utf-8")
    quote = f"The learning rate was 2.0 × 10^{exponent} in all of the runs"
    assert ground(path, claim(quote, number)).problem is None
    assert not ground(path, claim(quote, 2.0)).is_grounded
    assert not ground(path, claim(quote, 10.0)).is_grounded
