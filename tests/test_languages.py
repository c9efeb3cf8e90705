"""Languages named by tags, codes and names, in scores, prompts and studies."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from langcodes import tag_is_valid
from made_up_scores import random_rows, results_of
from shared_data import shared
from typed_results import typed
from write_joshi_classes import table

import tarazu
from tarazu.cli import main
from tarazu.data.prompts import load_prompts
from tarazu.errors import BadInput
from tarazu.languages import (
    LANGUAGES,
    UnknownLanguage,
    joshi_class_of,
    language_code,
    name_of,
    script_of,
)
from tarazu.notebook import Answer
from tarazu.report import ReportInputs
from tarazu.report.build import render_report
from tarazu.results import document
from tarazu.results.model import GroupMembers
from tarazu.run.analyze import AnalysisOptions, analyze_file
from tarazu.scores import score_rows
from tarazu.study.loader import load_study
from tarazu.study.schema import Groups
from tarazu.study.sources import JsonlPrompts

SPELLINGS = {
    "zh": [
        "zh",
        "zh-Hans",
        "zh-CN",
        "zh_CN",
        "cmn",
        "zho",
        "chi",
        "zho_Hans",
        "cmn-Hans",
        "Chinese",
        "Simplified Chinese",
    ],
    "zh-Hant": ["zh-Hant", "zh-TW", "zh_HK", "zho_Hant", "zh-hant", "Traditional Chinese"],
    "pt-BR": ["pt-BR", "pt_br", "por-BR", "Brazilian Portuguese"],
    "he": ["he", "iw", "heb", "Hebrew", "heb_Hebr", "hebrew"],
    "id": ["id", "in", "ind", "Indonesian", "ind_Latn"],
    "jv": ["jv", "jw", "jav_Latn"],
    "ar": ["ar", "arb", "ara", "arb_Arab", "Arabic", "Modern Standard Arabic"],
    "no": ["no", "nb", "nob_Latn", "Norwegian"],
    "sr": ["sr", "srp", "srp_Cyrl", "sr-Cyrl", "Serbian"],
    "sr-Latn": ["sr-Latn", "sh", "srp_Latn"],
    "yue": ["yue", "yue_Hant", "Cantonese"],
    "de": ["de", "DE", "deu", "ger", "deu_Latn", "German", "Deutsch"],
    "tl": ["tl", "fil", "tgl_Latn", "Tagalog", "Filipino"],
    "ko": ["ko", "kor_Hang", "Korean"],
    "ja": ["ja", "jpn_Jpan", "日本語"],
    "fa": ["fa", "pes_Arab", "per", "Farsi"],
}


@pytest.mark.parametrize(("code", "spelling"), [(code, one) for code, own in SPELLINGS.items() for one in own])
def test_one_code_for_every_spelling(code: str, spelling: str) -> None:
    assert language_code(spelling) == code


def test_codes_of_the_fifty_and_of_the_published_list_are_their_own() -> None:
    for code, language in LANGUAGES.items():
        names = (code, language.iso639_3, language.name, language.name.upper(), language.endonym, f" {code} ")
        assert {language_code(name) for name in names} == {code}
    path = Path(__file__).parents[1] / "src/tarazu/languages/joshi.csv"
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert len({row["code"] for row in rows}) == len(rows) > 1400
    for row in rows:
        assert tag_is_valid(row["code"])
        assert language_code(row["code"]) == row["code"]
        assert row["code"] not in LANGUAGES


@pytest.mark.parametrize("text", ["", "xx", "und", "mul", "x-private", "None", "a language", "en-", "\x00"])
def test_what_names_no_language_is_refused(text: str) -> None:
    with pytest.raises(UnknownLanguage, match="unknown language"):
        language_code(text)


def test_facts_of_variants_and_of_other_languages() -> None:
    assert (joshi_class_of("pt-BR"), script_of("pt-BR"), name_of("pt-BR")) == (4, "Latn", "Portuguese (BR)")
    assert (joshi_class_of("zh-Hant"), script_of("zh-Hant")) == (5, "Hant")
    assert (joshi_class_of("sr"), script_of("sr"), name_of("sr")) == (4, "Cyrl", "Serbian")
    assert (joshi_class_of("quy"), name_of("quy")) == (None, "quy")
    assert script_of("qaa") is None
    # Of the published list: https://microsoft.github.io/linguisticdiversity/assets/lang2tax.txt
    assert [joshi_class_of(code) for code in ("cs", "da", "ceb", "zu", "am", "yue", "km", "aa")] == [
        4,
        3,
        3,
        2,
        2,
        1,
        1,
        0,
    ]


def scores(tmp_path: Path, *languages: str) -> Path:
    path = tmp_path / "scores.csv"
    rows = "".join(f"{arm},{code},benign,p,1\n" for code in languages for arm in ("base", "dpo"))
    path.write_text(f"arm,language,kind,prompt_id,reward\n{rows}", encoding="utf-8")
    return path


def test_scores_may_name_languages_in_any_way(tmp_path: Path) -> None:
    rows = score_rows(scores(tmp_path, "Serbian", "pt_BR", "deu_Latn", "zh-TW"))
    assert [row["language"] for row in rows[::2]] == ["sr", "pt-BR", "de", "zh-Hant"]


def test_two_spellings_with_the_same_key_are_refused_by_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"line 4: duplicate row for \(base, he, benign, p\), the first is line 2"):
        score_rows(scores(tmp_path, "he", "iw"))


def test_prompts_by_name_and_a_language_of_no_study(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    names = ["English", "Hindi", "Filipino", "Serbian", "Elvish of the West"]
    path.write_text(
        "".join(f'{{"prompt_id": "a", "prompt": "made up", "language": "{name}"}}\n' for name in names), "utf-8"
    )
    source = JsonlPrompts(source="jsonl", path=str(path))
    loaded = load_prompts(source, "harmful", languages=["en", "hi", "tl", "sr"], root=None, seed=0)
    assert [row.language for row in loaded.rows] == ["en", "hi", "tl", "sr"]
    assert loaded.dropped == {"unknown language": 1}
    fifty = load_prompts(source, "harmful", languages=sorted(LANGUAGES), root=None, seed=0)
    assert [row.language for row in fifty.rows] == ["en", "hi", "tl"]
    assert fifty.dropped == {"unknown language": 1, "a language that the study does not name": 1}


def other_languages(**to: str) -> list[dict[str, object]]:
    return [{**row, "language": to.get(str(row["language"]), row["language"])} for row in random_rows()]


def test_a_language_without_a_group_is_in_the_rates_and_out_of_the_comparison() -> None:
    results = results_of(other_languages(ru="quy"))
    assert results["arms"]["dpo"]["languages"]["quy"]["HmR"]["value"] is not None
    reason = "its resource group is not known; give it in groups.languages"
    assert results["tradeoff"]["languages"]["excluded"]["quy"] == reason
    assert {"what": "language", "name": "quy", "reason": reason} == {
        key: next(row for row in results["excluded"] if row["name"] == "quy")[key] for key in ("what", "name", "reason")
    }


def test_a_study_may_say_the_group_and_script() -> None:
    groups = Groups.model_validate({"languages": {"quy": {"group": "high", "script": "Latn"}}})
    results = results_of(other_languages(ru="quy"), groups=groups)
    assert "quy" in results["groups"]["high"]
    slope = next(row for row in results["tradeoff"]["secondary"] if row["quantity"] == "slope")
    assert (slope["estimate"], slope["reason"]) == (None, "the number of web pages in quy is not known")
    script = next(row for row in results["tradeoff"]["sensitivity"] if row["quantity"] == "tilt_script")
    assert script["reason"] != "the script of quy is not known"


def study(tmp_path: Path, table: str, languages: str = "") -> Path:
    (tmp_path / "languages.csv").write_text(table, encoding="utf-8")
    path = tmp_path / "study.yaml"
    path.write_text(
        f"""
name: own
model: {{path: "builtin:base"}}
languages: {{table: {tmp_path / "languages.csv"}{languages}}}
prompts: {{benign: [{{source: parallel}}]}}
arms: {{base: {{method: none}}, dpo: {{method: none}}}}
reward: {{harmful: {{model: "builtin:reward"}}, benign: {{model: "builtin:reward"}}}}
""",
        encoding="utf-8",
    )
    return path


def test_a_table_gives_the_languages_and_their_facts(tmp_path: Path) -> None:
    table = "code,name,group,joshi_class,script\nQuechua,,high,,\nquy,Ayacucho Quechua,low,,Latn\npt-BR,,,1,\n"
    loaded = load_study(str(study(tmp_path, table))).study
    assert loaded.languages == ("pt-BR", "qu", "quy")
    assert [loaded.groups.of(code) for code in ("qu", "quy", "pt-BR", "pt")] == ["high", "low", "low", "high"]
    assert loaded.groups.script("quy") == "Latn"
    assert load_study(str(study(tmp_path, table, ", resource: low"))).study.languages == ("pt-BR", "quy")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("code,group\nhe,low\niw,low\n", r"languages\.csv: line 3: Hebrew \(he\) is also in line 2; keep one"),
        ("code,group\nxx,low\n", r"languages\.csv: line 2: unknown language 'xx'"),
        ("code,group\nde,middle\n", r"languages\.csv: line 2: group 'middle': Input should be 'high' or 'low'"),
        ("code,joshi_class\nde,7\n", r"languages\.csv: line 2: joshi_class '7'"),
        ("tag,group\nde,low\n", r"languages\.csv: line 2: has no column code"),
        (
            "code,Group\nde,low\n",
            r"languages\.csv: line 2: unknown column 'Group'; .* joshi_class, script, name",
        ),
        ("code,group\n", r"languages\.csv: has a header but no rows"),
    ],
)
def test_a_wrong_table_is_refused_by_line(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        load_study(str(study(tmp_path, table)))


def test_names_scripts_and_families_of_a_table_are_used(tmp_path: Path) -> None:
    table = "code;name;family;group;joshi_class;script\nquy;Ayacucho Quechua;Quechuan;low;;Qaaa\nta;;;;3.0;\n"
    groups = load_study(str(study(tmp_path, table))).study.groups
    assert groups.joshi_class("ta") == 3
    results = typed(results_of(other_languages(qu="quy"), groups=groups))
    assert results.name("quy") == "Ayacucho Quechua" and results.name("de") == "German"
    slope = next(row for row in results.tradeoff.secondary if row.quantity == "slope")
    assert slope.reason == "the number of web pages in Ayacucho Quechua is not known"
    page = render_report(ReportInputs(results=results))
    assert "Ayacucho Quechua (quy)" in page
    rows = Answer(ReportInputs(results=results)).tilts()
    own = rows[rows.language == "quy"].iloc[0]
    assert (own["name"], own.script, own.family) == ("Ayacucho Quechua", "Qaaa", "Quechuan")
    assert results_of(random_rows()).get("languages") is None


def test_the_sentence_about_one_language_has_its_own_name() -> None:
    rows = [{**row, "language": "quy"} for row in random_rows(languages=["de"])]
    groups = Groups.model_validate({"languages": {"quy": {"name": "Ayacucho Quechua"}}})
    assert "In Ayacucho Quechua, from base to dpo" in results_of(rows, groups=groups)["sentence"]


def test_a_table_lies_with_the_data_or_beside_the_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = study(tmp_path, "code,group\nquy,low\n")
    path.write_text(path.read_text("utf-8").replace(f"{tmp_path / 'languages.csv'}", "languages.csv"), "utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_study(str(path)).study.languages == ("quy",)
    (elsewhere / "languages.csv").write_text("code,group\nquy,high\n", "utf-8")
    with pytest.raises(BadInput, match=r"languages\.table: languages\.csv and .* are different files; write"):
        load_study(str(path))
    (tmp_path / "languages.csv").unlink()
    assert load_study(str(path)).study.groups.of("quy") == "high"
    (elsewhere / "languages.csv").unlink()
    with pytest.raises(BadInput, match=rf"no such file: languages\.csv and no {tmp_path}/languages\.csv"):
        load_study(str(path))
    rooted = {"TARAZU_DATA": str(elsewhere)}
    with pytest.raises(BadInput, match=rf"no such file: {elsewhere}/languages\.csv and no {tmp_path}/languages\.csv"):
        load_study(str(path), environment=rooted)


def test_what_the_study_says_of_a_language_completes_the_table(tmp_path: Path) -> None:
    path = study(tmp_path, "code,group,name\niw,low,Ivrit\n")
    groups = load_study(str(path), ["groups.languages.he.group=high"]).study.groups
    assert (groups.of("he"), groups.name("he")) == ("high", "Ivrit")


def test_a_language_under_two_names_in_a_study_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'he' and 'iw' are one language \(he\); keep one"):
        Groups.model_validate({"languages": {"he": {"group": "low"}, "iw": {"group": "high"}}})


def grouped(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "grouped.csv"
    path.write_text("\n".join(["arm,language,kind,prompt_id,label,group", *rows, ""]), encoding="utf-8")
    return path


def with_group(language: str, group: str) -> list[str]:
    return [
        f"{arm},{language},{kind},{number},{int(number < 5)},{group}"
        for arm in ("base", "dpo")
        for kind in ("harmful", "benign")
        for number in range(8)
    ]


def test_a_table_of_scores_may_give_the_group_of_a_language(tmp_path: Path) -> None:
    rows = [*with_group("quy", "low"), *with_group("qaa", "high"), *with_group("de", ""), *with_group("sw", "low")]
    path = grouped(tmp_path, *rows)
    results = analyze_file(path, AnalysisOptions(), out=tmp_path / "out")
    assert results.groups == GroupMembers(high=("de", "qaa"), low=("quy", "sw"))
    assert tarazu.analyze(path).results == document(results)
    assert tarazu.analyze(pd.read_csv(path)).results == document(results)
    again = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    assert tarazu.analyze(again).results == document(results)
    lock = (tmp_path / "out" / "analysis.lock.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(lock)["study"]["groups"]["languages"]["quy"]["group"] == "low"


@pytest.mark.parametrize(
    ("base", "dpo", "message"),
    [
        ("quy,benign,1,1,low", "quy,benign,1,1,high", r"line 3: group high, but quy \(quy\) is low in line 2; give"),
        ("de,benign,1,1,high", "de,benign,1,1,low", r"line 3: group low, but German \(de\) is high in line 2; give"),
        ("de,benign,1,1,", "de,benign,1,1,low", r"row 2: group low, but German \(de\) is in high by its Joshi class"),
        ("de,benign,1,1,", "de,benign,1,1,treated", r"line 3: unknown group 'treated'; groups are high and low"),
        ("de,benign,1,1,", "de,benign,1,1,hig", r"line 3: unknown group 'hig'; did you mean 'high'\?"),
    ],
)
def test_a_group_that_contradicts_is_refused(tmp_path: Path, base: str, dpo: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        analyze_file(grouped(tmp_path, f"base,{base}", f"dpo,{dpo}"), AnalysisOptions())


def test_the_studys_group_may_be_the_tables(tmp_path: Path) -> None:
    path = grouped(tmp_path, *with_group("de", "low"), *with_group("en", "high"))
    results = analyze_file(path, AnalysisOptions(overrides=["groups.languages.de.group=low"]))
    assert results.groups == GroupMembers(high=("en",), low=("de",))


def test_the_shipped_classes_are_those_of_the_published_list() -> None:
    text = shared("lang2tax.txt").read_text(encoding="utf-8")
    path = Path(__file__).parents[1] / "src/tarazu/languages/joshi.csv"
    assert table(text) == path.read_text(encoding="utf-8")


def test_how_names_of_the_published_list_become_codes() -> None:
    lines = [
        "swedish,4",
        "german,5",  # of the 50
        "tunen,0",  # baz became tvu and nvo: Tunen is tvu
        "norwegian (nynorsk),1",
        "norwegian (bokmål),1",
        "bemba,0",  # two languages had the name
        "no such language,0",
        "danish,3",
        "danish,2",  # twice, with different classes
    ]
    assert table("\n".join([*lines, ""])).splitlines() == [
        "code,name,joshi_class",
        "nn,Norwegian Nynorsk,1",
        "no,Norwegian,1",
        "sv,Swedish,4",
        "tvu,Tunen,0",
    ]


def test_looking_up_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["languages", "zh-TW", "deu_Latn", "Swedish", "qaa"]) == 0
    assert capsys.readouterr().out == (
        "zh-TW: zh-Hant, a variant of zh\n"
        "  name    Chinese (Hant)  (languages.csv)\n"
        "  class   5  (Joshi et al. 2020)\n"
        "  group   high  (its class)\n"
        "  script  Hant  (the code)\n"
        "  family  Sino-Tibetan  (languages.csv)\n"
        "\n"
        "deu_Latn: de\n"
        "  name    German  (languages.csv)\n"
        "  class   5  (Joshi et al. 2020)\n"
        "  group   high  (its class)\n"
        "  script  Latn  (languages.csv)\n"
        "  family  IE: Germanic  (languages.csv)\n"
        "\n"
        "Swedish: sv\n"
        "  name    Swedish  (Joshi et al. 2020)\n"
        "  class   4  (Joshi et al. 2020)\n"
        "  group   high  (its class)\n"
        "  script  Latn  (CLDR)\n"
        "  family  not known\n"
        "\n"
        "qaa: qaa\n"
        "  name    not known\n"
        "  class   not known\n"
        "  group   not known\n"
        "  script  not known\n"
        "  family  not known\n"
    )
    assert main(["languages", "Simplified Chinese", "--json"]) == 0
    own = json.loads(capsys.readouterr().out)[0]
    assert (own["code"], own["joshi_class"], own["group"]["value"]) == (
        "zh",
        {"value": 5, "source": "Joshi et al. 2020"},
        "high",
    )
    assert main(["languages", "de", "Klingonese"]) == 2
    out = capsys.readouterr()
    assert (out.out, out.err.count("\n")) == ("", 1) and "unknown language 'Klingonese'" in out.err
    assert main(["languages", "de", "--check", "x.jsonl"]) == 2
