"""Checkpoints: found, identified, loaded, saved. No pickle, no remote code unless the study asks for it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from accelerate import PartialState
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from tarazu.align.positions import positions_of
from tarazu.errors import BadInput
from tarazu.files import atomic_directory, tree_sha256, write_json
from tarazu.study.schema import BUILTIN

# A run tells of its progress itself; transformers' bar per checkpoint would break its lines.
transformers.logging.disable_progress_bar()

ADAPTER_CONFIG = "adapter_config.json"
_HEADS = ("score", "classifier", "pooler", "bert.pooler", "roberta.pooler", "deberta.pooler")
"""Parts that sequence classifiers have on top of their base."""
_SETS = ("target_modules", "modules_to_save", "exclude_modules")
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model", "spm.model")


def is_local(name: str) -> bool:
    """Whether a checkpoint name means files here rather than a repository on the Hub."""
    return name.startswith((BUILTIN, ".", "/", "~")) or Path(name).is_dir()


def resolve(name: str, key: str) -> str:
    """The folder of a local checkpoint, or the Hub name unchanged.

    Raises BadInput, naming the study's `key`, for a local checkpoint that is missing or lacks a part.
    """
    if not is_local(name):
        return name
    if name.startswith(BUILTIN):
        folder = Path(str(files("tarazu").joinpath("models", name.removeprefix(BUILTIN))))
        if not folder.is_dir():
            raise BadInput(f"{key}: no built-in checkpoint '{name}'; there are builtin:base and builtin:reward")
    else:
        folder = Path(name).expanduser()
        if not folder.is_dir():
            raise BadInput(f"{key}: {name}: no such folder; give a checkpoint folder, a Hub name or builtin:base")
    needed = ADAPTER_CONFIG if (folder / ADAPTER_CONFIG).is_file() else "config.json"
    if not (folder / needed).is_file():
        raise BadInput(f"{key}: {name}: has no config.json; it is not a Hugging Face checkpoint")
    if not any((folder / item).is_file() for item in TOKENIZER_FILES):
        raise BadInput(f"{key}: {name}: has no tokenizer; save it there with tokenizer.save_pretrained(...)")
    if not any(folder.glob("*.safetensors")):
        raise BadInput(
            f"{key}: {name}: has no safetensors weights (pickled weights are not loaded); save it again with "
            "model.save_pretrained(...)"
        )
    return str(folder)


def identity(name: str, revision: str | None, key: str) -> dict[str, Any]:
    """What a fingerprint needs of a checkpoint: the digest of local files, or the Hub's commit."""
    folder = resolve(name, key)
    if is_local(name):
        return {"sha256": tree_sha256(Path(folder))}
    from huggingface_hub import HfApi

    try:
        commit = HfApi().model_info(name, revision=revision).sha
    except Exception as error:
        raise BadInput(
            f"{key}: {name}: not a folder here, and the Hub gave no answer ({type(error).__name__}); "
            "give a local checkpoint, or check the name and the connection"
        ) from None
    return {"hub": name, "commit": commit}


def positions(name: str, *, key: str, revision: str | None = None, trust_remote_code: bool = False) -> int | None:
    """How many tokens the model of a checkpoint has positions for; None where it names no limit. An adapter has as many
    as the model that it was trained on. Raises BadInput where there is no configuration."""
    folder = resolve(name, key)
    if is_local(name) and (Path(folder) / ADAPTER_CONFIG).is_file():
        base = _base_of(Path(folder), key)
        return positions(base, key=key, trust_remote_code=trust_remote_code)
    try:
        config = AutoConfig.from_pretrained(folder, revision=revision, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise BadInput(f"{key}: {name}: its configuration cannot be loaded: {error}") from None
    return positions_of(config)


def device() -> torch.device:
    """The accelerator where there is one (this process's own, among several), else the CPU."""
    return (
        torch.device("cuda", PartialState().local_process_index) if torch.cuda.is_available() else torch.device("cpu")
    )


def load_tokenizer(name: str, *, key: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """A tokenizer with a padding token. Raises BadInput where it cannot be loaded."""
    folder = resolve(name, key)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, revision=revision, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise BadInput(f"{key}: {name}: its tokenizer cannot be loaded: {error}") from None
    if tokenizer.eos_token_id is None:
        raise BadInput(f"{key}: {name}: its tokenizer has no end-of-sequence token; set eos_token and save it again")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # What is too long is cut and counted here; transformers' own warning would say that it is not.
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    return tokenizer


def load_causal_lm(
    name: str,
    *,
    key: str,
    dtype: str = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """A causal language model on the machine's device, adapters merged in, dropout as its checkpoint says."""
    folder = resolve(name, key)
    if is_local(name) and (Path(folder) / ADAPTER_CONFIG).is_file():
        return _merged(Path(folder), key=key, dtype=dtype)
    return _load(AutoModelForCausalLM, name, folder, key, dtype, revision, trust_remote_code)


def load_reward_model(
    name: str,
    *,
    key: str,
    dtype: str = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """A sequence-classification model with one output. Raises BadInput for any other number."""
    folder = resolve(name, key)
    model = _load(AutoModelForSequenceClassification, name, folder, key, dtype, revision, trust_remote_code)
    if model.config.num_labels != 1:
        raise BadInput(f"{key}: {name}: gives {model.config.num_labels} outputs; a reward model gives one")
    return model


def load_reward_start(name: str, *, key: str, seed: int) -> Any:
    """A model to train as a reward model, in float32: one output, its head new (drawn by `seed`) where the checkpoint
    has none. Raises BadInput where anything else is missing."""
    folder = resolve(name, key)
    transformers.set_seed(seed)
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=1, use_safetensors=True, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:
        raise BadInput(f"{key}: {name}: cannot be loaded: {error}") from None
    missing = sorted(part for part in report["missing_keys"] if not part.startswith(_HEADS))
    if missing:
        raise BadInput(f"{key}: {name}: lacks the weights {', '.join(missing[:3])}; it is not a model to start from")
    return model.to(device()).eval()


def merged(model: Any) -> Any:
    """The model itself or, with an adapter on it, the two merged into one."""
    return model.merge_and_unload().eval() if isinstance(model, peft.PeftModel) else model


def _load(
    auto: Any, name: str, folder: str, key: str, dtype: str, revision: str | None, trust_remote_code: bool
) -> Any:
    try:
        config = AutoConfig.from_pretrained(folder, revision=revision, trust_remote_code=trust_remote_code)
        model, report = auto.from_pretrained(
            folder,
            config=config,
            revision=revision,
            trust_remote_code=trust_remote_code,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
            output_loading_info=True,
        )
    except Exception as error:
        raise BadInput(f"{key}: {name}: cannot be loaded: {error}") from None
    # transformers fills what a checkpoint lacks with random numbers; a score head made of those is no reward model.
    missing = sorted(report["missing_keys"])
    if missing:
        raise BadInput(f"{key}: {name}: lacks the weights {', '.join(missing[:3])}; it is not a model of this kind")
    return model.to(device()).eval()


def _merged(folder: Path, *, key: str, dtype: str) -> Any:
    """An adapter on the model that it was trained on, merged into one."""
    model = load_causal_lm(_base_of(folder, key), key=key, dtype=dtype)
    with without_word_of_checkpointing():
        return peft.PeftModel.from_pretrained(model, str(folder)).merge_and_unload().eval()


def _base_of(folder: Path, key: str) -> str:
    """The model that an adapter changes: a folder, by a path from the adapter's own, or a name."""
    try:
        base = str(json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (ValueError, KeyError, OSError):
        raise BadInput(f"{key}: {folder}: its adapter_config.json does not name a base model") from None
    return str(folder / base) if (folder / base).is_dir() else base


@contextmanager
def without_word_of_checkpointing() -> Iterator[None]:
    """peft asks models for an attribute by the name that transformers 5.18 renames, which no user can mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield


def save_trained(
    model: Any, tokenizer: Any, folder: Path, *, base: str, card: str, curve: Sequence[Mapping[str, float]]
) -> None:
    """Write a checkpoint with its README.md (`card`) and its training.jsonl (`curve`), whole or not at all."""
    with atomic_directory(folder) as temporary:
        save(model, tokenizer, temporary, base=base)
        (temporary / "README.md").write_text(card, encoding="utf-8")
        rows = "".join(json.dumps(row, sort_keys=True) + "\n" for row in curve)
        (temporary / "training.jsonl").write_text(rows, encoding="utf-8")


def save(model: Any, tokenizer: Any, folder: Path, *, base: str) -> None:
    """Write a checkpoint as safetensors with its tokenizer. An adapter names `base`, the model that it changes."""
    transformers.utils.logging.disable_progress_bar()  # the run has its own
    if isinstance(model, peft.PeftModel):
        for config in model.peft_config.values():
            config.base_model_name_or_path = base
        # An adapter's base is frozen, embeddings included; left to itself peft would look for the base, by a path that
        # holds from the checkpoint's own place alone, to see whether they were resized.
        model.save_pretrained(folder, save_embedding_layers=False)
    else:
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if isinstance(model, peft.PeftModel):
        # peft keeps names in sets, whose order differs from process to process: equal adapters, equal files.
        path = folder / ADAPTER_CONFIG
        told = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, told | {key: sorted(told[key]) for key in _SETS if isinstance(told.get(key), list)})
