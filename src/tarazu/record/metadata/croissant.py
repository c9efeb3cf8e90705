"""croissant.json: the prompts that a record evaluated, as a Croissant 1.0 data set (JSON-LD).

Every arm answers every prompt, so the responses of one arm hold them all. A record without responses has no such file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tarazu.files import Json
from tarazu.record.manifest import Work
from tarazu.record.model import Artifact

CROISSANT: Final = "croissant.json"
_CONFORMS = "http://mlcommons.org/croissant/1.0"
_TERMS = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty", "fileSet", "format",
    "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex",
    "repeated", "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_CONTEXT: Final[Mapping[str, Json]] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "sc": "https://schema.org/",
    **{term: f"cr:{term}" for term in _TERMS},
}
"""The context that Croissant 1.0 prescribes; its readers warn of another."""
_COLUMNS: Final = {
    "prompt_id": "The request; the same in every language that has it.",
    "language": "Code of the language.",
    "kind": "harmful, benign or borderline.",
    "prompt": "The text that the models were given.",
}


def has_prompts(artifacts: Sequence[Artifact]) -> bool:
    """Whether a record with these files holds the prompts that it evaluated."""
    return _responses(artifacts) is not None


def croissant(work: Work, artifacts: Sequence[Artifact]) -> Mapping[str, Json]:
    """The data set of a record that `has_prompts`."""
    file = _responses(artifacts)
    assert file is not None
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _CONFORMS,
        "name": f"prompts-of-srch-{work.srch_id}",
        "description": f"The prompts that the record SRCH {work.srch_id} evaluated: {work.title}",
        "url": f"urn:uuid:{work.id}",
        "citeAs": f"{'; '.join(work.authors) or 'Anonymous'} ({work.submitted[:4]}). {work.title}. Record SRCH "
        f"{work.srch_id}, urn:uuid:{work.id}",
        "datePublished": work.submitted,
        "version": "1.0.0",
        "license": f"https://spdx.org/licenses/{work.license}"
        if work.license
        else "No licence is stated; all rights remain with the authors.",
        "creator": [{"@type": "sc:Person", "name": name} for name in work.authors]
        or [{"@type": "sc:Organization", "name": "not named"}],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "responses",
                "name": file.path,
                "description": "The prompts with one arm's responses.",
                "contentUrl": file.path,
                "contentSize": f"{file.size} B",
                "encodingFormat": "application/x-parquet",
                "sha256": file.sha256,
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "prompts",
                "name": "prompts",
                "description": "A row for each prompt, language and sample.",
                "field": [_field(column, description) for column, description in _COLUMNS.items()],
            }
        ],
    }


def _responses(artifacts: Sequence[Artifact]) -> Artifact | None:
    files = [file for file in artifacts if file.role == "responses" and file.path.startswith("responses/")]
    return min(files, key=lambda file: file.path, default=None)


def _field(column: str, description: str) -> Mapping[str, Json]:
    return {
        "@type": "cr:Field",
        "@id": f"prompts/{column}",
        "name": column,
        "description": description,
        "dataType": "sc:Text",
        "source": {"fileObject": {"@id": "responses"}, "extract": {"column": column}},
    }
