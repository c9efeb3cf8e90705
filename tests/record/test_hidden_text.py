"""Text of a document that a reader does not see, or not for certain, verifies nothing; what a reader sees does."""

from __future__ import annotations

from pathlib import Path

import pytest
from record_data import FILES, pdf_page

from tarazu.errors import BadInput
from tarazu.record.claims.documents import read_sections
from tarazu.record.claims.grounding import Grounding, ground
from tarazu.record.claims.html.text import html_blocks
from tarazu.record.model import SourceClaim

QUOTE = "DPO raises the helpfulness rate to 75.0 percent"


def claim(quote: str = QUOTE, number: float | None = None) -> SourceClaim:
    return SourceClaim(kind="source_grounded", id="c", statement="s", source="sources/a", quote=quote, number=number)


def found_in(tmp_path: Path, name: str, content: str | bytes, quote: str = QUOTE) -> Grounding | str:
    """The result for a quotation in a document; the error, where the document is refused."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    try:
        return ground(path, claim(quote))
    except BadInput as error:
        return str(error)


def is_found(result: Grounding | str) -> bool:
    return isinstance(result, Grounding) and result.is_grounded


def page(body: str, head: str = "") -> str:
    return f"<!DOCTYPE html><html><head><title>T</title>{head}</head><body><h1>A paper</h1>\n<p>A first line.</p>{body}\n<p>A last line.</p></body></html>"  # noqa: E501


T = f"<p>{QUOTE}.</p>"
HIDDEN_ELEMENTS = [
    *(f"<{name}>{QUOTE}</{name}>" for name in (
        "dialog", "iframe", "video", "audio", "canvas", "object", "noframes", "noembed", "datalist", "rp", "title",
        "template", "noscript", "script", "style", "textarea", "select", "svg", "progress", "meter", "x-card", "del",
        "s", "bdo dir=rtl", "optgroup", "map", "head", "slot", "applet", "marquee",
    )),
    f"<details><summary>More</summary>{T}</details>",
    f"<details>{T}<summary>More</summary></details>",
    f"<select><option>{QUOTE}</select>",
    f"<input value='{QUOTE}'>", f"<img alt='{QUOTE}'>", f"<meta content='{QUOTE}'>",
    f"<!-- {QUOTE} -->", f"<!-- > {QUOTE} -->", f"<!-- -- > {QUOTE} -->", f"<?x {QUOTE} ?>", f"<?x {QUOTE}>",
    f"<![CDATA[ {QUOTE} ]]>", f"<!DOCTYPE {QUOTE}>", f"<!x {QUOTE}>", f"</ {QUOTE}>", f"<!--{QUOTE}",
    f"<div><template shadowrootmode=open></template>{QUOTE}</div>",
    f"<math><mphantom><mtext>{QUOTE}</mtext></mphantom></math>",
    f"<math><annotation>{QUOTE}</annotation></math>",
    f"<p><iframe></p>{QUOTE}</iframe></p>",
    f"<xmp></p>{QUOTE}</xmp>",
    f"<plaintext></plaintext>{QUOTE}",
]  # fmt: skip
HIDDEN_ATTRIBUTES = [
    f"<div hidden>{T}</div>", f"<div HIDDEN=''>{T}</div>", f"<div hidden=until-found>{T}</div>",
    f"<div popover>{T}</div>", f"<div/hidden>{T}</div>", f"<div\nhidden\n>{T}</div>",
    f"<div hidden/>{T}", f"<div hidden></ div>{T}", f"<div hidden></div\n x>{T}</div>",
    f"<p hidden>{QUOTE}", f"<ul><li hidden><ul></li>{QUOTE}</ul></ul>",
    f"<div hidden><table></div>{QUOTE}</table></div>",
    f"<a><div hidden></a>{QUOTE}</div>", f"<form><div hidden></form>{QUOTE}</div>",
    f"<span><div hidden></span>{QUOTE}</div>", f"<div hidden></body></html>{QUOTE}",
    f"<p><b hidden>x</p><p>{QUOTE}</p>", f"<spacer hidden>{QUOTE}</spacer>",
    f"<svg><p><div hidden></svg>{QUOTE}</div>", f"<!--><div hidden> -->{QUOTE}</div>",
    f"<!-- --!><div hidden> -->{QUOTE}</div>", f"<![CDATA[><div hidden>]]>{QUOTE}</div>",
    f"<script></script\n><div hidden><script></script>{QUOTE}</div>", f"{T}<body hidden>", f"{T}<html hidden>",
    f"<script><!--<script></script>{QUOTE}--></script>",
    f"<table><caption hidden><table></caption>{QUOTE}</table></table>",
    f"<font color=white>{QUOTE}</font>", f"<table bgcolor=black><tr><td>{QUOTE}</table>",
    f"<font color='#fffffe'>{QUOTE}</font>", f"<font face=Webdings>{QUOTE}</font>",
]  # fmt: skip
HIDING_STYLES = [
    "display:none", "DISPLAY: NONE", "display:/**/none", "display/*x*/:none", "d\\69splay:none", "dis\\70 lay:none",
    "display:n\\6fne", "display:none!important", "display:none ! important", "color:red;;display:none",
    "visibility:hidden", "visibility:collapse", "opacity:0", "opacity:.01", "opacity:0%", "opacity:1e-3",
    "font-size:0", "font-size:1px", "font-size:0.01em", "font-size:1%", "font:0/1 serif", "font:1px/1 a",
    "font-size:calc(0px)", "font-size-adjust:0", "position:absolute;left:-9999px", "position:fixed;top:-100vh",
    "margin-left:-9999px", "position:relative;right:500em", "inset:-400px", "text-indent:-9999px",
    "text-indent:200vw;overflow:hidden", "transform:scale(0)", "transform:translateX(-9999px)",
    "transform:rotateX(90deg)", "scale:0", "translate:-999px", "transform:translate(-900px,0px) scale(0.9)",
    "zoom:0.01", "clip:rect(0,0,0,0);position:absolute", "clip-path:inset(50%)", "clip-path:circle(0)",
    "mask:linear-gradient(#0000,#0000)", "-webkit-mask-image:url(x)", "filter:opacity(0)", "color:white",
    "color:#fff", "color:#FFFFFF", "color:rgb(255,255,255)", "color:rgb(255 255 255 / 1)", "color:#fffefe",
    "color:transparent;", "color:rgba(0,0,0,0)", "color:#0000", "color:hsl(0,0%,100%)", "color:var(--x)",
    "color:ivory", "-webkit-text-fill-color:transparent", "background:black", "background:#000;color:#010101",
    "background:url(x.png)", "color:#eee", "color:lab(100% 0 0)", "height:0;overflow:hidden",
    "max-height:1px;overflow-y:clip", "z-index:-1;position:relative", "width:0;overflow:hidden",
    "-webkit-text-security:disc", "content-visibility:hidden", "mix-blend-mode:screen", "animation:x 1s",
    "content:'x'", "all:unset;position:absolute;clip:rect(0 0 0 0)", "letter-spacing:-1em", "word-spacing:-2em",
    "text-decoration:line-through", "unicode-bidi:bidi-override", "-webkit-line-clamp:1;overflow:hidden",
    "line-height:0", "backdrop-filter:x", "something-new:1", "display:\nnone",
    "overflow:hidden;white-space:nowrap;width:9px", "padding-left:9999px",
    "background-image:url(data:image/png;base64,AAAA)", "color:red;background:red",
]  # fmt: skip
HIDING_SHEETS = [
    ".a{display:none}", ".a{color:red}.a{opacity:0}", "p.a{visibility:hidden}", "@media screen{.a{display:none}}",
    "@supports (display:grid){.a{opacity:0}}", "@layer x{.a{opacity:0}}", "body :nth-child(n).a{display:none}",
    "body{.a{display:none}}", "body{& .a{display:none}}", "[class^=a]{display:none}", "*{opacity:0}",
    "body{color:#fff}", "body>.a{font-size:0}", ".\\61{display:none}", ".a/**/{display/**/:none}",
    "x{content:'/*'} .a{display:none} y{z:'*/'}", "x{content:\"}\"} .a{display:none}", "/*{*/.a{display:none}/*}*/",
    "<!-- .a{display:none} -->", ".a:not(:hover){opacity:0}", ".a::first-line{font-size:0}",
    "p:has(b).a,.a{display:none}", ":unknown(x) .a,.a:unknown{display:none}", ".a::before{content:'not '}",
    ".a::after{content:' < 5'}", ".a::before{content:attr(title)}", ":root{--x:none}.a{display:var(--x)}",
    ".a{display:var(--y,none)}", ".a{background:#000}", "@media (prefers-color-scheme:dark){body{background:#000}}",
    ".a{display:none", "x{} } .a{display:none}", ".a{color:rgb(100% 100% 100%)}", "html{background:black}",
    "@scope (body){.a{display:none}}", "@starting-style{.a{opacity:0}}", "@container x (width>1px){.a{display:none}}",
    ".a{font-size:var(--z)}",
]  # fmt: skip


@pytest.mark.parametrize("body", [*HIDDEN_ELEMENTS, *HIDDEN_ATTRIBUTES])
def test_text_in_hidden_elements_is_not_found(body: str, tmp_path: Path) -> None:
    assert not is_found(found_in(tmp_path, "a.html", page(body)))


@pytest.mark.parametrize("style", HIDING_STYLES)
def test_text_that_a_style_may_hide_is_not_found(style: str, tmp_path: Path) -> None:
    for body in (f'<p style="{style}">{QUOTE}</p>', f'<div style="{style}"><p>{QUOTE}</p></div>'):
        if not (style == "line-height:0" and "<div" in body):
            assert not is_found(found_in(tmp_path, "a.html", page(body)))
    sheet = f"<style>.a{{{style}}}</style>"
    assert not is_found(found_in(tmp_path, "a.html", page(f'<p class="a">{QUOTE}</p>', sheet)))


@pytest.mark.parametrize("sheet", HIDING_SHEETS)
def test_text_that_a_style_sheet_may_hide_is_not_found(sheet: str, tmp_path: Path) -> None:
    body = f'<p class="a" title="not">{QUOTE}</p>'
    assert not is_found(found_in(tmp_path, "a.html", page(body, f"<style>{sheet}</style>")))
    assert not is_found(found_in(tmp_path, "a.html", page(f"{body}<svg><style>{sheet}</style></svg>")))
    assert is_found(found_in(tmp_path, "a.html", page(T, "<style>.other{display:none}</style>")))


def test_the_reason_and_the_passage_are_given(tmp_path: Path) -> None:
    result = found_in(tmp_path, "a.html", page(f"<p>We write:</p><p style='opacity:0'>{QUOTE}.</p>"))
    assert isinstance(result, Grounding)
    assert result.problem == "the quotation stands only in text that a reader may not see: style 'opacity: 0'"
    assert result.context is not None and QUOTE in result.context[1]


def test_words_around_text_that_may_be_hidden_do_not_join(tmp_path: Path) -> None:
    body = "<p>DPO raises <span style='clip-path:inset(0)'>in no way</span> the helpfulness rate to 75.0 percent.</p>"
    result = found_in(tmp_path, "a.html", page(body))
    assert isinstance(result, Grounding) and "within the passage stands" in str(result.problem)
    shown = (
        "<p>DPO raises <span hidden style='display:inline'>in no way</span> the helpfulness rate to 75.0 percent.</p>"
    )
    assert not is_found(found_in(tmp_path, "a.html", page(shown)))
    left_out = (
        "<p>DPO raises <span hidden>x</span><script>x</script><!-- x --> the helpfulness rate to 75.0 percent.</p>"
    )
    assert is_found(found_in(tmp_path, "a.html", page(left_out)))


# --- honest documents -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "quote", "number"),
    [
        ("journal.html", "The helpfulness rate rose from 25.0 % to 75.0 % (p < 0.001; 95 % CI 61.2–85.1)", 75.0),
        (
            "journal.html",
            "rose from 25.0\u00a0% to 75.0\u00a0% (p\u2009<\u20090.001; 95\u2009% CI 61.2-85.1)1,2.",
            25.0,
        ),
        ("journal.html", "Over 10^5 responses, the mean change was −5.2 points (s.e. 1.1)", -5.2),
        ("journal.html", "Over 10⁵ responses, the mean change was -5.2 points", 1e5),
        ("journal.html", "in low-resource languages — about a third of that", None),
        ("journal.html", "in high-resource ones. No arm was worse", None),
        ("journal.html", "Of 1 600 responses, 12 ‰ were empty, and R² was 0.83 at 20 °C with CO2", 1600),
        ("journal.html", "responses, 12 ‰ were empty, and R2 was 0.83", 0.83),
        ("journal.html", 'We conclude that "safe" models are not always helpful, and that trade-offs differ', None),
        ("journal.html", "Arm HpR HmR base 25.0 87.5", 87.5),
        ("arxiv.html", "The rate is 62.5% with p<0.05 at a learning rate of 2×10-5", 2e-5),
        ("arxiv.html", "The rate is 62.5 % with p < 0.05 at a learning rate of 2 × 10⁻⁵ and H0 is rejected1.", 62.5),
        ("arxiv.html", "DPO gains 12.5 points in Yoruba", 12.5),
        ("note.md", "HmR fell by -5.2 points (p < 0.05) in low-resource languages; see tarazu run", -5.2),
        ("note.md", "The rate was ~62.5% ± 1.2, i.e. >= 60% in 9/12 languages, and p > 0.1 elsewhere [1]", 62.5),
        ("note.md", "fell by −5.2 points (p < 0.05)", -5.2),
    ],
)
def test_what_a_reader_sees_is_found(name: str, quote: str, number: float | None) -> None:
    result = ground(FILES / "documents" / name, claim(quote, number))
    assert result.problem is None
    unread = "style sheets or fonts that are not in the record, and scripts"
    assert (unread in result.caveat) == name.endswith(".html")
    assert result.context is not None and result.passage == result.context[1]


# --- other meanings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("The effect is significant here (p > 0.05) in all arms.", "The effect is significant here (p < 0.05)"),
        ("The effect is significant here (p > 0.05) in all arms.", "The effect is significant here (p 0.05)"),
        ("The effect is significant here (p ≥ 0.05) in all arms.", "The effect is significant here (p > 0.05)"),
        ("The models are not able to refuse in Yoruba.", "The models are notable to refuse in Yoruba"),
        ("The models are notable for refusals in Yoruba.", "The models are not able for refusals in Yoruba"),
        ("The change was − 5.2 points in all languages.", "The change was 5.2 points in all languages"),
        ("The change was −5.2 points in all languages.", "The change was 5.2 points in all languages"),
        ("The change was – 5.2 points in all languages.", "The change was 5.2 points in all languages"),
        ("The change was −5.2 points in all languages.", "5.2 points in all languages"),
        ("The change was − 5.2 points in all languages.", "5.2 points in all languages"),
        ("It took 10⁵ steps to train all of the arms.", "It took 105 steps to train all of the arms"),
        ("It took 2¹⁰ steps to train all of the arms.", "It took 210 steps to train all of the arms"),
        ("It took 10⁵ steps to train all of the arms.", "It took 10 steps to train all of the arms"),
        ("Of all of them the rate was 12 ‰ in Yoruba.", "Of all of them the rate was 12 % in Yoruba"),
        ("Of all of them the rate was 12 ‰ in Yoruba.", "Of all of them the rate was 12"),
        ("Of all of them the rate was 12 ‰ in Yoruba.", "Of all of them the rate was 12 in Yoruba"),
        ("The rate of base ≠ the rate of DPO in Yoruba.", "The rate of base = the rate of DPO in Yoruba"),
        ("All models that are un-safe are refused here.", "safe are refused here and there"),
        ("All models that are un-safe are refused here.", "All models that are safe are refused here"),
        ("All models that are un-safe are refused here.", "safe are refused here"),
        ("All models that are un-safe are refused here.", "All models that are un safe are refused here"),
        ("We re-sign the manifest of every record here.", "We resign the manifest of every record here"),
        ("The model is A/B tested in all the languages.", "The model is AB tested in all the languages"),
        ("It costs € 5.2 to train one of the two arms.", "It costs $ 5.2 to train one of the two arms"),
        ("It holds for x² in each of the languages here.", "It holds for x in each of the languages here"),
        ("It is 12° in each of the languages measured.", "It is 12 in each of the languages measured"),
        ("The gain is ± 5.2 points in all languages.", "The gain is + 5.2 points in all languages"),
        ("The gain is about 5.2 ± 4 points in Yoruba.", "The gain is about 5.2 + 4 points in Yoruba"),
        ("We do not find that DPO is\u202e safe in Yoruba.", "We do not find that DPO is safe in Yoruba"),
        ("It is at least 3·4 points in all languages.", "It is at least 34 points in all languages"),
        ("It scored 5-shot accuracy of 62 in Yoruba.", "shot accuracy of 62 in Yoruba"),
        ("The interval is 0.81, 0.85 in all the languages.", "The interval is 0.81-0.85 in all the languages"),
        ("The interval is 0.81–0.85 in all the languages.", "The interval is 0.81, 0.85 in all the languages"),
        ("No more than 2½ of them are safe in Yoruba.", "No more than 21/2 of them are safe in Yoruba"),
        ("It is ¬ safe in all of the languages we try.", "It is safe in all of the languages we try"),
    ],
)
def test_signs_units_and_parts_of_words_are_not_passed_over(text: str, quote: str, tmp_path: Path) -> None:
    assert not is_found(found_in(tmp_path, "a.md", f"# R\n\n{text}\n", quote))
    assert not is_found(found_in(tmp_path, "a.html", page(f"<p>{text.replace('<', '&lt;')}</p>"), quote))


def test_a_dash_before_a_number_may_be_its_sign(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    for dash, number in (("−", -5.2), ("- ", None), ("– ", None), ("− ", -5.2)):
        path.write_text(f"The change was {dash}5.2 points in all languages.", encoding="utf-8")
        quote = f"The change was {dash}5.2 points in all"
        assert ground(path, claim(quote)).problem is None
        assert not ground(path, claim(quote, 5.2)).is_grounded
        assert number is None or ground(path, claim(quote, number)).problem is None


@pytest.mark.parametrize(
    "power",
    ["10<sup>5</sup>", "10<sup> 5 </sup>", "10<sup><b>5</b></sup>", "10⁵", "10&#8309;", "<b>10</b><sup>5</sup>"],
)
def test_a_power_in_html_is_no_other_number(power: str, tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(page(f"<p>It took {power} steps to train all arms.</p>"), encoding="utf-8")
    assert ground(path, claim("It took 10^5 steps to train all arms", 1e5)).problem is None
    assert not ground(path, claim("It took 105 steps to train all arms", 105)).is_grounded
    assert not ground(path, claim("It took 10 5 steps to train all arms")).is_grounded


def test_an_index_in_html_is_no_digit(tmp_path: Path) -> None:
    body = page("<p>In base ten, 12<sub>5</sub> is the number that we call seven.</p>")
    assert not is_found(found_in(tmp_path, "a.html", body, "In base ten, 125 is the number that we call seven"))


def test_the_description_of_an_image_is_not_text(tmp_path: Path) -> None:
    assert not is_found(found_in(tmp_path, "a.md", f"# R\n\nSee ![{QUOTE}](a.png) here.\n"))
    assert not is_found(found_in(tmp_path, "a.md", f"# R\n\nDPO raises ![in no way](a.png){QUOTE[10:]} here.\n"))
    assert not is_found(found_in(tmp_path, "a.md", f"# R\n\n<!-- {QUOTE} -->\n\n[x]: y '{QUOTE}'\n"))


# --- PDF --------------------------------------------------------------------------------------------


SHOWN = f"BT /R 10 Tf 50 700 Td ({QUOTE}) Tj ET"
OTHER = "BT /R 10 Tf 50 780 Td (A first line of the paper that everybody sees.) Tj ET"


def test_a_passage_of_a_pdf_comes_with_a_caveat(tmp_path: Path) -> None:
    result = found_in(tmp_path, "a.pdf", pdf_page([OTHER, SHOWN]))
    assert isinstance(result, Grounding) and result.problem is None
    assert "it is a PDF, in which text can be covered" in result.caveat


@pytest.mark.parametrize(
    "hidden",
    [
        f"BT 3 Tr /R 10 Tf 50 700 Td ({QUOTE}) Tj 0 Tr ET",
        f"BT 7 Tr /R 10 Tf 50 700 Td ({QUOTE}) Tj 0 Tr ET",
        f"q 3 Tr {SHOWN} Q",
        f"q 1 g {SHOWN} Q",
        f"1 1 1 rg {SHOWN} 0 g",
        f"0 0 0 0 k {SHOWN} 0 g",
        f"/DeviceRGB cs 1 1 1 sc {SHOWN} 0 g",
        f"q .99 1 1 rg BT /R 10 Tf 50 700 Td [({QUOTE[:9]}) -20 ({QUOTE[9:]})] TJ ET Q",
        f"BT /R 10 Tf 5000 700 Td ({QUOTE}) Tj ET",
        f"BT /R 10 Tf 1 0 0 1 50 -20 Tm ({QUOTE}) Tj ET",
        f"q 1 0 0 1 -900 0 cm {SHOWN} Q",
        f"BT /R 0.5 Tf 50 700 Td ({QUOTE}) Tj ET",
        f"q .01 0 0 .01 50 700 cm {SHOWN} Q",
        f"BT 0 Tz /R 10 Tf 50 700 Td ({QUOTE}) Tj 100 Tz ET",
    ],
)
def test_text_of_a_pdf_that_is_not_drawn_is_not_found(hidden: str, tmp_path: Path) -> None:
    for operators in ((OTHER, hidden), (hidden, OTHER), (OTHER, hidden, OTHER.replace("780", "600"))):
        result = found_in(tmp_path, "a.pdf", pdf_page([*operators]))
        assert not is_found(result)
        assert isinstance(result, Grounding) and "text that a reader may not see" in str(result.problem)
        everybody = "A first line of the paper that everybody sees"
        assert is_found(found_in(tmp_path, "a.pdf", pdf_page([*operators]), everybody))


def test_a_scan_with_recognised_text_is_refused_by_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf_page([f"BT 3 Tr /R 10 Tf 50 700 Td ({QUOTE}) Tj ET"]))
    with pytest.raises(BadInput, match=r"has no text that a reader is sure to see \(text that is not drawn"):
        read_sections(path)


@pytest.mark.parametrize(
    "markup",
    [
        '<table><b hidden>text<table class="x"></table>words',
        "<table><b hidden>text <option>text <b popover><table><table hidden></table>words</b></table>",
        "<p>text</p><table><i hidden><tr><td>text</table>words",
    ],
)
def test_what_begins_again_after_a_table_is_refused(markup: str) -> None:
    """Browsers hide the words, with the element that has no end before the table."""
    with pytest.raises(BadInput, match=r"a\.html: line 1: a table begins or goes on in <[bi]>, which has no end"):
        html_blocks(markup, "a.html")


def test_a_font_leaves_a_drawing_only_with_an_attribute_of_html() -> None:
    seen = {
        start: any("words" in block.text for block in html_blocks(f"<svg>{start}words</font>", "a.html")[0])
        for start in ("<font>", "<font open>", "<font size=3>", "<font COLOR=red>")
    }
    assert list(seen.values()) == [False, False, True, True]


def test_what_ends_with_its_cell_is_not_refused() -> None:
    blocks, _ = html_blocks("<table><tr><td><b>one<td><i>two<tr><td>three</table>words", "a.html")
    assert [block.text.split() for block in blocks if not block.unseen] == [["one", "two", "three", "words"]]
