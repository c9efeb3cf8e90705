"""MultiCheckList (XTREME-R): fills the translated templates of simple questions.

The published table has a column for each language, or several columns where words are inflected. Each of these is
followed by a `<code>-placeholders` column, which lists the English fillers, properties or templates that the variant
applies to. The rows form blocks, one for each test: Name, Capability, Context rows, pairs of Question and Answer rows,
and a row for each filler.

The fillings of a test are numbered. Each combination of context, question, first names and fillers has a fixed number,
which does not depend on the language, the seed or the number of fillings drawn. `multichecklist-<test>-<number>` is
therefore always the same request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tarazu.data._sources import SourcePrompt, SourcePrompts, generator, resolve
from tarazu.data.rows import Kind
from tarazu.errors import BadInput
from tarazu.languages import LANGUAGES
from tarazu.readers import read_tsv
from tarazu.study.sources import MultiCheckListPrompts

# The table leaves first names open. They are written in Latin letters in every language. Most translations agree
# grammatically with a man; the two professions below are those of women.
MEN = ("Omar", "David", "Ivan", "Adam", "Samir", "Leo", "Tomas", "Daniel")
WOMEN = ("Sara", "Mira", "Ana", "Lina", "Eva", "Nora", "Maria", "Leila")
_WOMENS = {"an actress", "a waitress"}

_TAG = re.compile(r"\{(?:a:)?([a-z_]+[0-9]?)(?:\.([vp])([12]))?(?:\[([0-9])\])?\}")
_SEPARATORS = re.compile(r"[,،၊，]")
_FILLER_OF_TAG = {"s": "state"}
_NAME_TAGS = ("first_name", "first_name1", "first_name2")

DIFFERS = "the translation has other placeholders than the English"
NO_VARIANT = "no translated variant serves the filling"
NO_PARTS = "a filler does not have the forms that the template needs"
EMPTY = "not translated"


class _CannotFill(Exception):
    """A filling for which a language has no valid text. The message is the reason under which it is counted."""


@dataclass(frozen=True, slots=True)
class _Variant:
    text: str
    serves: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Line:
    """A row of the table: the English cell and each language's variants."""

    english: str
    variants: dict[str, tuple[_Variant, ...]]


@dataclass(slots=True)
class _Test:
    line: int
    name: str
    contexts: list[_Line] = field(default_factory=list)
    questions: list[_Line] = field(default_factory=list)
    answers: list[_Line] = field(default_factory=list)
    fillers: dict[str, list[_Line]] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        return "-".join(re.findall(r"[a-z0-9]+", self.name.lower()))


@dataclass(frozen=True, slots=True)
class _Filling:
    """One choice of everything that a test leaves open. `properties` are (property, value) of p.v1 and p.v2."""

    context: int
    question: int
    names: dict[str, str]
    fillers: dict[str, _Line]
    properties: tuple[tuple[_Line, _Line], ...]


def multichecklist_prompts(
    settings: MultiCheckListPrompts, kind: Kind, languages: frozenset[str], root: Path | None, seed: int
) -> SourcePrompts:
    """Context, new line, question, in each language of the table. The good answer is the right filler. The bad answer
    is the answer to the test's other question about the same context. Fillings without a valid text are dropped."""
    path = resolve(settings.path, root)
    tests, codes = _read(path)
    requests = SourcePrompts()
    for test in tests:
        count = _count(test)
        size = min(settings.per_test, count)
        numbers = generator(seed, "multichecklist", test.slug).choice(count, size=size, replace=False, shuffle=False)
        for number in sorted(numbers.tolist()):
            filling = _filling(test, number)
            for code in sorted(codes & languages):
                try:
                    requests.rows.append(_request(test, number, filling, code))
                except _CannotFill as reason:
                    requests.dropped[str(reason)] += 1
    return requests


# --- the table ------------------------------------------------------------------------------------


def _read(path: Path) -> tuple[list[_Test], set[str]]:
    tests: list[_Test] = []
    header: list[str] = []
    for line, cells in read_tsv(path):
        if not header:
            header = cells
            if cells[:2] != ["Field", "en"]:
                raise BadInput(f"{path}: line 1: the columns must begin with Field, en, as in the published table")
            continue
        name = cells[0].strip()
        if not name:
            continue
        if name == "Name":
            tests.append(_Test(line=line, name=cells[1].strip()))
        elif not tests:
            raise BadInput(f"{path}: line {line}: '{name}' comes before the first Name; begin each test with its Name")
        elif name != "Capability":
            row = _Line(cells[1].strip(), _variants(header, cells))
            test = tests[-1]
            rows = {"Context": test.contexts, "Question": test.questions, "Answer": test.answers}.get(name)
            (test.fillers.setdefault(name, []) if rows is None else rows).append(row)
    earlier: dict[str, list[_Line]] = {}
    for test in tests:
        # A test without its own fillers uses those of earlier tests, as "Animal vs Vehicle v2" does.
        test.fillers = earlier = {**earlier, **test.fillers}
        _check(test, path)
    if not tests:
        raise BadInput(f"{path}: contains no test; a test begins with a row Name")
    slugs = [test.slug for test in tests]
    duplicate = next((test for test in tests if slugs.count(test.slug) > 1), None)
    if duplicate is not None:
        raise BadInput(f"{path}: line {duplicate.line}: a second test has the name '{duplicate.name}'; rename one")
    return tests, {code for code in header if code in LANGUAGES}


def _variants(header: list[str], cells: list[str]) -> dict[str, tuple[_Variant, ...]]:
    variants: dict[str, tuple[_Variant, ...]] = {}
    for index, code in enumerate(header):
        text = cells[index].strip()
        if code not in LANGUAGES or not text:
            continue
        beside = cells[index + 1] if header[index + 1 : index + 2] == [f"{code}-placeholders"] else ""
        variants[code] = (*variants.get(code, ()), _Variant(text, _keys(beside)))
    return variants


def _keys(text: str) -> frozenset[str]:
    """English fillers or templates, separated by commas. Case and articles are ignored: "a sofa, the sofa" is one."""
    keys = (re.sub(r"^(an?|the) ", "", part.strip().lower()) for part in text.split(","))
    return frozenset(key for key in keys if key)


def _tags(text: str) -> list[tuple[str, str, str, int | None]]:
    """(name, v or p, 1 or 2, index) of each placeholder."""
    return [(m[1], m[2] or "", m[3] or "", int(m[4]) if m[4] else None) for m in _TAG.finditer(text)]


def _needed(text: str) -> set[str]:
    """The placeholders that a template needs, in whatever form."""
    return {f"{name}.{letter}{which}" if letter else name for name, letter, which, _ in _tags(text)}


def _filler_name(tag: str) -> str:
    return _FILLER_OF_TAG.get(tag, tag)


def _check(test: _Test, path: Path) -> None:
    where = f"{path}: line {test.line}: the test '{test.name}'"
    if not test.slug:
        raise BadInput(f"{where} has no English name; name it")
    if not test.contexts or len(test.questions) != 2 or len(test.answers) != 2:
        raise BadInput(f"{where} must have Context rows and two pairs of Question and Answer")
    for row in (*test.contexts, *test.questions, *test.answers):
        for name, letter, *_ in _tags(row.english):
            if name in _NAME_TAGS or (letter and len(_valued_properties(test)) > 1):
                continue
            if letter or _filler_name(name) not in test.fillers:
                raise BadInput(f"{where} uses {{{name}}} but has no filler rows for it; add them")
        if _TAG.sub("", row.english).strip("{}") != _TAG.sub("", row.english) or "{" in _TAG.sub("", row.english):
            raise BadInput(f"{where} has an unknown placeholder in '{row.english[:60]}'")


# --- fillings and their numbers -------------------------------------------------------------------


def _valued_properties(test: _Test) -> list[_Line]:
    """The `property` rows that have values: the rows named like the property in English."""
    return [row for row in test.fillers.get("property", []) if test.fillers.get(row.english)]


def _property_pairs(test: _Test) -> list[tuple[tuple[_Line, _Line], tuple[_Line, _Line]]]:
    values = [(row, value) for row in _valued_properties(test) for value in test.fillers[row.english]]
    return [(one, two) for one in values for two in values if one[0] is not two[0]]


def _open_choices(test: _Test, context: int, question: int) -> tuple[list[str], list[str], bool]:
    """The open choices of the English context and both questions: name tags, other tags, and whether there are
    properties."""
    english = [test.contexts[context].english, test.questions[question].english]
    english += [row.english for row in test.answers]
    tags = [tag for text in english for tag in _tags(text)]
    names = [name for name in _NAME_TAGS if any(tag[0] == name for tag in tags)]
    others = sorted({name for name, letter, *_ in tags if not letter and name not in _NAME_TAGS})
    return names, others, any(letter for _, letter, *_ in tags)


def _sizes(test: _Test, context: int, question: int) -> list[int]:
    names, others, with_properties = _open_choices(test, context, question)
    sizes = [len(MEN) - taken for taken in range(len(names))]
    sizes += [len(test.fillers[_filler_name(tag)]) for tag in others]
    return [*sizes, len(_property_pairs(test))] if with_properties else sizes


def _product(sizes: Iterable[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product


def _combinations(test: _Test) -> list[tuple[int, int]]:
    return [(context, question) for context in range(len(test.contexts)) for question in range(2)]


def _count(test: _Test) -> int:
    return sum(_product(_sizes(test, *combination)) for combination in _combinations(test))


def _filling(test: _Test, number: int) -> _Filling:
    """The filling with this number, 0 <= number < _count(test)."""
    for context, question in _combinations(test):
        sizes = _sizes(test, context, question)
        if number < _product(sizes):
            break
        number -= _product(sizes)
    choices = []
    for size in sizes:
        number, choice = divmod(number, size)
        choices.append(choice)
    names, others, with_properties = _open_choices(test, context, question)
    fillers = {
        tag: test.fillers[_filler_name(tag)][choice] for tag, choice in zip(others, choices[len(names) :], strict=False)
    }
    names_left = list(WOMEN if any(row.english in _WOMENS for row in fillers.values()) else MEN)
    return _Filling(
        context=context,
        question=question,
        names={tag: names_left.pop(choice) for tag, choice in zip(names, choices, strict=False)},
        fillers=fillers,
        properties=_property_pairs(test)[choices[-1]] if with_properties else (),
    )


# --- filling a language ---------------------------------------------------------------------------


def _request(test: _Test, number: int, filling: _Filling, code: str) -> SourcePrompt:
    filler = _Filler(test, filling, code)
    context = filler.sentence(test.contexts[filling.context], complete=True)
    question = filler.sentence(test.questions[filling.question])
    good = filler.answer(filling.question)
    bad = filler.answer(1 - filling.question)
    return SourcePrompt(
        prompt_id=f"multichecklist-{test.slug}-{number}",
        language=code,
        text=f"{context}\n{question}",
        good=good,
        bad=bad,
    )


class _Filler:
    """Fills a test's templates in one language with one filling."""

    def __init__(self, test: _Test, filling: _Filling, code: str) -> None:
        self._test = test
        self._filling = filling
        self._code = code
        self._forms = _forms_needed(test, code)
        # What a placeholders column can refer to: the English forms of the chosen fillers, by the name of their rows.
        self._facts = {_filler_name(tag): [_keys(row.english)] for tag, row in filling.fillers.items()}
        self._known = {
            name: frozenset().union(*(_keys(row.english) for row in rows)) for name, rows in test.fillers.items()
        }
        templates = (*test.contexts, *test.questions, *test.answers)
        self._known["template"] = frozenset().union(*(_keys(row.english) for row in templates))

    def sentence(self, template: _Line, *, complete: bool = False) -> str:
        """A context or question. `complete` requires every placeholder of the English."""
        return self._fill(template, _keys(template.english), complete=complete, sentence=True)

    def answer(self, which: int) -> str:
        """The answer to the test's question `which`."""
        # A filler's variants may name the templates that they apply to. A bare answer may match either answer.
        either = frozenset().union(*(_keys(row.english) for row in self._test.answers))
        return self._fill(self._test.answers[which], either, complete=True, sentence=False)

    def _fill(self, template: _Line, serving: frozenset[str], *, complete: bool, sentence: bool) -> str:
        needed = _needed(template.english)
        properties = [pair[0] for which, pair in enumerate(self._filling.properties, 1) if _uses(needed, which)]
        facts = {**self._facts, "property": [_keys(row.english) for row in properties], "template": [serving]}
        text = self._variant(template, facts)
        present = _needed(text)
        if not present <= needed or (complete and present != needed) or "{" in _TAG.sub("", text):
            raise _CannotFill(DIFFERS)

        def value(match: re.Match[str]) -> str:
            filled = self._value(match[0], facts)
            begins = match.start() == 0 or text[: match.start()].endswith((". ", "? "))
            return _with_capital(filled, self._code) if sentence and begins else filled

        return _TAG.sub(value, text)

    def _value(self, tag: str, facts: dict[str, list[frozenset[str]]]) -> str:
        (name, letter, which, form) = _tags(tag)[0]
        if name in self._filling.names:
            return self._filling.names[name]
        if letter:
            pair = self._filling.properties[int(which) - 1]
            return self._variant(pair[0] if letter == "p" else pair[1], facts)
        text = self._variant(self._filling.fillers[name], facts)
        return text if form is None else self._form(name, text, form)

    def _form(self, name: str, text: str, form: int) -> str:
        """Form number `form` of a filler whose cell lists several forms."""
        rows = self._test.fillers[_filler_name(name)]
        cells = [variant.text for row in rows for variant in row.variants.get(self._code, ())]
        # Thai does not separate words, and separates the forms by a space.
        spaced = not any(_SEPARATORS.search(cell) for cell in cells)
        parts = [part.strip() for part in (text.split() if spaced else _SEPARATORS.split(text)) if part.strip()]
        if len(parts) != self._forms[name]:
            raise _CannotFill(NO_PARTS)
        return parts[form]

    def _variant(self, row: _Line, facts: dict[str, list[frozenset[str]]]) -> str:
        """The variant of `row` that applies to the filling, or the most specific one if several do."""
        variants = row.variants.get(self._code, ())
        if not variants:
            raise _CannotFill(EMPTY)
        if len(variants) == 1:
            return variants[0].text
        serving = [variant for variant in variants if self._serves(variant, facts)]
        if not serving:
            raise _CannotFill(NO_VARIANT)
        return min(serving, key=lambda variant: len(variant.serves)).text

    def _serves(self, variant: _Variant, facts: dict[str, list[frozenset[str]]]) -> bool:
        # The keys may be of several kinds (a property and objects). For each kind, one key must match each fact.
        names = [name for name, known in self._known.items() if known & variant.serves and facts.get(name)]
        return bool(names) and all(fact & variant.serves for name in names for fact in facts[name])


def _uses(needed: set[str], which: int) -> bool:
    return bool({f"p.p{which}", f"p.v{which}"} & needed)


def _forms_needed(test: _Test, code: str) -> dict[str, int]:
    """The number of forms of each filler that this language's templates distinguish, by tag: {obj[1]} needs two."""
    forms: dict[str, int] = {}
    for row in (*test.contexts, *test.questions, *test.answers):
        for variant in row.variants.get(code, ()):
            for name, _, _, form in _tags(variant.text):
                if form is not None:
                    # Indexed fillers have at least two forms in English, hence in every translation.
                    forms[name] = max(forms.get(name, 2), form + 1)
    return forms


def _with_capital(text: str, code: str) -> str:
    """`text` with a capital as at the beginning of a sentence. Title case, because Georgian has capitals in Unicode but
    does not use them in sentences."""
    if code in ("tr", "az") and text.startswith("i"):
        return f"İ{text[1:]}"
    return text[:1].title() + text[1:]
