"""The sources of a study's prompts, known answers and preference pairs: one frozen model per source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tarazu.study._settings import LanguageCode, Settings

# --- prompts and known answers --------------------------------------------------------------------


class PromptSource(Settings):
    limit: int | None = Field(
        None, ge=1, description="Keep this many prompts, the same prompt_ids in every language of the source."
    )
    select: Literal["first", "random"] = Field(
        "random", description="Which prompts `limit` keeps: the first ones, or a random draw by the study's seed."
    )


class ParallelPrompts(PromptSource):
    """The project's own parallel set (machine-authored); its test split by default."""

    source: Literal["parallel"]
    path: str | None = Field(None, description="Folder in the format of the shipped set; default: the shipped one.")
    split: Literal["train", "test"] = Field("test", description="Split of the set.")


class HHPrompts(PromptSource):
    """Prompts of HH-RLHF transcripts (English)."""

    source: Literal["hh-rlhf"]
    path: str | None = Field(
        None,
        description="A .jsonl or .jsonl.gz file in the published format, or a folder that contains "
        "<subset>/<split>.jsonl.gz or <subset>.<split>.jsonl.gz; default: the Hub.",
    )
    hub: str = Field("Anthropic/hh-rlhf", description="Hub dataset used where `path` is not given.")
    subset: str | None = Field(
        None, description="Subset such as helpful-base, on the Hub or in the folder; default: all of them."
    )
    split: Literal["train", "test"] = Field("test", description="Split, on the Hub or in the folder.")
    contains: tuple[str, ...] = Field(
        (), description="Keep prompts that contain one of these words, in any case; empty: all."
    )
    turns: Literal["first", "all"] = Field(
        "first", description="The first human turn only, or the conversation up to the last answer."
    )


class MultiJailPrompts(PromptSource):
    """MultiJail: harmful prompts in English and, translated by people, in nine other languages."""

    source: Literal["multijail"]
    path: str | None = Field(None, description="The published csv; default: the Hub.")
    hub: str = Field("DAMO-NLP-SG/MultiJail", description="Hub dataset used where `path` is not given.")


class XQuADPrompts(PromptSource):
    """XQuAD: passage and question; known answers are the answer and another span of the passage."""

    source: Literal["xquad"]
    path: str | None = Field(None, description="Folder with xquad.<code>.json or .json.gz; default: the Hub.")
    hub: str = Field("google/xquad", description="Hub dataset used where `path` is not given.")


class XCOPAPrompts(PromptSource):
    """XCOPA: premise and question; known answers are the right and the wrong alternative."""

    source: Literal["xcopa"]
    path: str | None = Field(None, description="Folder with <split>.<code>.jsonl; default: the Hub.")
    hub: str = Field("cambridgeltl/xcopa", description="Hub dataset used where `path` is not given.")
    split: Literal["test", "val"] = Field("test", description="Which split.")


class MultiCheckListPrompts(PromptSource):
    """MultiCheckList templates of XTREME-R, filled; known answers are the right and the wrong filler."""

    source: Literal["multichecklist"]
    path: str = Field(description="The published checklist_templates.tsv (it is not on the Hub).")
    per_test: int = Field(6, ge=1, description="Fillings drawn for each of its six tests, by the study's seed.")


class MLQAPrompts(PromptSource):
    """MLQA: passage and question, parallel by id; known answers are the answer and another span of the passage."""

    source: Literal["mlqa"]
    path: str | None = Field(
        None, description="Folder with <split>-context-<code>-question-<code>.json, or the published MLQA_V1; "
        "default: the Hub."
    )  # fmt: skip
    hub: str = Field("facebook/mlqa", description="Hub dataset used where `path` is not given.")
    split: Literal["test", "dev"] = Field("test", description="Which split.")


class TyDiQAPrompts(PromptSource):
    """TyDiQA-GoldP: passage and question, written in each language separately, so that no two share a request;
    known answers are the answer and another span of the passage."""

    source: Literal["tydiqa"]
    path: str | None = Field(
        None, description="The published tydiqa-goldp-v1.1-<split>.json, or a folder with it or with XTREME's "
        "tydiqa.goldp.<code>.<split>.json; default: the Hub."
    )  # fmt: skip
    hub: str = Field("google-research-datasets/tydiqa", description="Hub dataset used where `path` is not given.")
    split: Literal["dev", "train"] = Field("dev", description="Which split.")


class XNLIPrompts(PromptSource):
    """XNLI: a premise, and the question what follows from it; known answers are the entailed and the contradicting
    sentence."""

    source: Literal["xnli"]
    path: str | None = Field(None, description="Folder with the published xnli.<split>.tsv; default: the Hub.")
    hub: str = Field("facebook/xnli", description="Hub dataset used where `path` is not given.")
    split: Literal["test", "dev"] = Field("test", description="Which split.")


class PolyRefusePrompts(PromptSource):
    """PolyRefuse: parallel harmful and harmless requests in 14 languages, machine-translated from English and rough in
    places. Apache 2.0; the harmless ones come from Alpaca (CC BY-NC 4.0)."""

    source: Literal["polyrefuse"]
    path: str = Field(
        description="Folder with harmful.<code>.json and harmless.<code>.json (or .json.gz), or with the published "
        "<kind>_<split>_translated_<code>.json (it is not on the Hub)."
    )
    split: Literal["test", "val", "train"] = Field("test", description="Split, where the files are named by it.")


class XSTestPrompts(PromptSource):
    """XSTest: 450 English prompts. The 200 unsafe ones are harmful prompts. The 250 safe ones look harmful: they are
    borderline prompts, and `safe_as_benign` takes them as benign ones. CC BY 4.0."""

    source: Literal["xstest"]
    path: str | None = Field(None, description="The published csv; default: the Hub.")
    hub: str = Field("Paul/XSTest", description="Hub dataset used where `path` is not given.")
    safe_as_benign: bool = Field(
        False,
        description="Under `benign`, take the safe prompts. HpR is then measured on requests that look harmful, and "
        "falls with every refusal of one.",
    )


class PolyGuardPrompts(PromptSource):
    """PolyGuardPrompts: the prompts of WildGuardTest in 17 languages, parallel by id, machine-translated. Its label of
    each prompt decides whether it is harmful or benign. CC BY 4.0."""

    source: Literal["polyguard"]
    path: str | None = Field(
        None, description="The published parquet file, or the same rows as csv or jsonl; default: the Hub."
    )
    hub: str = Field("ToxicityPrompts/PolyGuardPrompts", description="Hub dataset used where `path` is not given.")


class XSafetyPrompts(PromptSource):
    """XSafety: 14 types of 200 prompts in 10 languages, parallel by type and row, machine-translated and corrected by
    people. Some types, such as mental_health, ask for care rather than for harm. Apache 2.0; for research only."""

    source: Literal["xsafety"]
    path: str = Field(
        description="The published folder, with <language>/<type>.csv, or a folder with <language>.csv: one column "
        "without a header (it is not on the Hub). Excel files, as of Bengali, are not read, and counted."
    )
    types: tuple[str, ...] = Field((), description="Types such as physical_harm; empty: all.")


class AyaPrompts(PromptSource):
    """Aya Red-teaming: harmful prompts that people wrote in eight languages, each by itself, so that no two languages
    share a request. Apache 2.0."""

    source: Literal["aya-redteaming"]
    path: str | None = Field(
        None, description="Folder with the published aya_<code>.jsonl, or one such file; default: the Hub."
    )
    hub: str = Field("CohereLabs/aya_redteaming", description="Hub dataset used where `path` is not given.")
    harm: Literal["any", "global", "local"] = Field(
        "any", description="Prompts about harm that is understood everywhere, or only in a culture."
    )


class Columns(Settings):
    """Names of columns in a file of your own, where they are not Tarazu's."""

    prompt_id: str | None = Field(None, min_length=1, description="The id of the prompt.")
    language: str | None = Field(None, min_length=1, description="The language.")
    prompt: str | None = Field(None, min_length=1, description="The prompt.")

    def given(self) -> dict[str, str]:
        """The columns that have another name, by ours."""
        return self.model_dump(exclude_none=True)


class PromptColumns(Columns):
    """Names of columns of prompts, where they are not Tarazu's."""

    good: str | None = Field(None, min_length=1, description="The known good answer.")
    bad: str | None = Field(None, min_length=1, description="The known bad answer.")
    category: str | None = Field(None, min_length=1, description="What the prompt is about; several with `;`.")
    translation_quality: str | None = Field(
        None, min_length=1, description="A number that is higher for better translations (docs/influence.md)."
    )


class PairColumns(Columns):
    """Names of columns of pairs, where they are not Tarazu's."""

    chosen: str | None = Field(None, min_length=1, description="The preferred answer.")
    rejected: str | None = Field(None, min_length=1, description="The other answer.")
    system: str | None = Field(None, min_length=1, description="The system message.")


class JsonlPrompts(PromptSource):
    """Your own prompts: rows with prompt_id, language, prompt and optionally good, bad, category, translation_quality,
    and reviewed, the name of the native speaker who reviewed the row.

    The file is csv, jsonl, a JSON array or parquet; docs/formats-of-files.md says how it is read. A prompt is text or a
    list of messages.
    """

    source: Literal["jsonl"]
    path: str = Field(description="The file: csv, jsonl, a JSON array or parquet.")
    columns: PromptColumns = Field(
        PromptColumns(), description="Names of the file's columns, for example {prompt_id: id, prompt: instruction}."
    )
    language: LanguageCode | None = Field(None, description="Language of rows that name none.")


AnyPromptSource = Annotated[
    ParallelPrompts
    | HHPrompts
    | MultiJailPrompts
    | XQuADPrompts
    | MLQAPrompts
    | TyDiQAPrompts
    | XCOPAPrompts
    | XNLIPrompts
    | MultiCheckListPrompts
    | PolyRefusePrompts
    | XSTestPrompts
    | PolyGuardPrompts
    | XSafetyPrompts
    | AyaPrompts
    | JsonlPrompts,
    Field(discriminator="source"),
]


# --- preference pairs -----------------------------------------------------------------------------


class ParallelPairs(Settings):
    """The project's own parallel set (machine-authored), as preference pairs."""

    source: Literal["parallel"]
    path: str | None = Field(None, description="Folder in the format of the shipped set; default: the shipped one.")
    limit: int | None = Field(None, ge=1, description="Keep this many pairs, drawn by the study's seed.")


class HHPairs(Settings):
    """Anthropic HH-RLHF transcripts, split at the last assistant turn."""

    source: Literal["hh-rlhf"]
    path: str | None = Field(None, description="A .jsonl or .jsonl.gz file in the published format; default: the Hub.")
    hub: str = Field("Anthropic/hh-rlhf", description="Hub dataset used where `path` is not given.")
    subset: str | None = Field(None, description="Hub folder such as harmless-base; default: all of them.")
    split: Literal["train", "test"] = Field("train", description="Hub split.")
    limit: int | None = Field(None, ge=1, description="Keep this many pairs, drawn by the study's seed.")


class JsonlPairs(Settings):
    """Your own preference pairs: rows with prompt, chosen, rejected and optionally prompt_id, language, system.

    The file is csv, jsonl, a JSON array or parquet. The first three are texts, or lists of messages {role, content}.
    Where chosen and rejected begin with the prompt's messages, `prompt` may be omitted. Rows in the forms of OpenAI,
    LLaMA-Factory, Axolotl and UltraFeedback are recognised; docs/formats-of-files.md lists them.
    """

    source: Literal["jsonl"]
    path: str = Field(description="The file: csv, jsonl, a JSON array or parquet.")
    columns: PairColumns = Field(
        PairColumns(), description="Names of the file's columns, for example {prompt: question, chosen: best}."
    )
    language: LanguageCode | None = Field(None, description="Language of rows that do not name one.")
    limit: int | None = Field(None, ge=1, description="Keep this many pairs, drawn by the study's seed.")


class HubPairs(Settings):
    """Preference pairs of any Hub dataset whose columns are the fields of JsonlPairs."""

    source: Literal["hub"]
    hub: str = Field(min_length=1, description="Hub dataset.")
    config: str | None = Field(None, description="Its configuration.")
    split: str = Field("train", description="Its split.")
    columns: PairColumns = Field(
        PairColumns(), description="Names of its columns, for example {prompt: question, chosen: best}."
    )
    language: LanguageCode | None = Field(None, description="Language of rows that do not name one.")
    limit: int | None = Field(None, ge=1, description="Keep this many pairs, drawn by the study's seed.")


class KnownAnswerPairs(Settings):
    """Known answers of a source of prompts as preference pairs: the good one is chosen, the bad one rejected."""

    source: Literal["known-answers"]
    kind: Literal["harmful", "benign"] = Field("benign", description="Kind of the prompts.")
    answers: AnyPromptSource = Field(description="The source, as under `prompts`. All its languages are used.")
    limit: int | None = Field(None, ge=1, description="Keep this many pairs, drawn by the study's seed.")


OnePairSource = Annotated[
    ParallelPairs | HHPairs | JsonlPairs | HubPairs | KnownAnswerPairs, Field(discriminator="source")
]


class MixPairs(Settings):
    """Several sources together, with a share of the pairs for each language.

    A language's share is proportional to weight * (its pairs) ** (1 / temperature). Where a language needs more pairs
    than it has, all its pairs are repeated equally often, and the remainder is drawn at random.
    """

    source: Literal["mix"]
    parts: tuple[OnePairSource, ...] = Field(min_length=1, description="The sources.")
    weights: dict[LanguageCode, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="Weight by language; those not named are excluded. Default: every language, 1."
    )
    temperature: float = Field(
        1.0,
        gt=0,
        description="1: shares as in the data. Higher temperatures make them more equal (Arivazhagan et al. 2019).",
    )
    size: int | None = Field(
        None,
        ge=1,
        description="The total number of pairs; default: as many as these shares allow without using a pair twice.",
    )


PairSource = Annotated[
    ParallelPairs | HHPairs | JsonlPairs | HubPairs | KnownAnswerPairs | MixPairs, Field(discriminator="source")
]
