"""Find, identify, load and save checkpoints. Loads no pickles, and no remote code unless the study allows it."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from accelerate import PartialState
from huggingface_hub import hf_hub_download
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils.peft_utils import find_adapter_config_file

from tarazu.align.positions import positions_of
from tarazu.errors import BadInput
from tarazu.files import atomic_directory, tree_sha256, write_json
from tarazu.study.checkpoint import Checkpoint
from tarazu.study.schema import BUILTIN

# A run reports its own progress. transformers' progress bar for each checkpoint would break those lines.
transformers.logging.disable_progress_bar()

ADAPTER_CONFIG = "adapter_config.json"
_HUB_SNAPSHOT = re.compile(r"/models--([^/]+?)--([^/]+)/snapshots/([^/]+)$")
_HEADS = ("score", "classifier", "pooler", "bert.pooler", "roberta.pooler", "deberta.pooler")
"""Modules that sequence classifiers add to their base model."""
_SETS = ("target_modules", "modules_to_save", "exclude_modules")
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model", "spm.model")


def is_local(name: str) -> bool:
    """Whether a checkpoint name refers to local files rather than to a repository on the Hub."""
    return name.startswith((BUILTIN, ".", "/", "~")) or Path(name).is_dir()


def resolve(name: str, key: str) -> str:
    """The folder of a local checkpoint, or the Hub name unchanged.

    Raises BadInput, which names the study's `key`, if a local checkpoint is missing or incomplete.
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


def identity(name: str, revision: str | None, key: str) -> dict[str, str | None]:
    """What identifies a checkpoint in a fingerprint: the digest of its local files, or its commit on the Hub."""
    folder = resolve(name, key)
    if is_local(name):
        found: dict[str, Any] = {"sha256": tree_sha256(Path(folder))}
        if (Path(folder) / ADAPTER_CONFIG).is_file():
            base = _base_of(Path(folder), key)
            found["base"] = identity(base, None, key) if is_local(base) else {"hub": base}
        return found
    from huggingface_hub import HfApi

    try:
        commit = HfApi().model_info(name, revision=revision).sha
    except Exception as error:
        raise BadInput(
            f"{key}: {name}: not a local folder, and the Hub did not answer ({type(error).__name__}); "
            "give a local checkpoint, or check the name and the connection"
        ) from None
    return {"hub": name, "commit": commit}


def positions(name: str, *, key: str, revision: str | None = None, trust_remote_code: bool = False) -> int | None:
    """The number of tokens that a checkpoint's model has positions for, or None if it has no limit. An adapter has as
    many as its base model. Raises BadInput if the configuration cannot be loaded."""
    folder = resolve(name, key)
    adapter = _adapter_folder(folder, revision)
    if adapter is not None:
        return positions(_base_of(adapter, key), key=key, trust_remote_code=trust_remote_code)
    try:
        config = AutoConfig.from_pretrained(folder, revision=revision, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise BadInput(f"{key}: {name}: its configuration cannot be loaded: {error}") from None
    return positions_of(config)


def device() -> torch.device:
    """This process's accelerator, or the CPU if there is none."""
    return (
        torch.device("cuda", PartialState().local_process_index) if torch.cuda.is_available() else torch.device("cpu")
    )


def load_tokenizer(name: str, *, key: str, revision: str | None = None, trust_remote_code: bool = False) -> Any:
    """A tokenizer with a padding token. Raises BadInput if it cannot be loaded."""
    folder = resolve(name, key)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, revision=revision, trust_remote_code=trust_remote_code)
    except Exception as error:
        raise BadInput(f"{key}: {name}: its tokenizer cannot be loaded: {error}") from None
    if tokenizer.eos_token_id is None:
        raise BadInput(f"{key}: {name}: its tokenizer has no end-of-sequence token; set eos_token and save it again")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Tarazu truncates and counts long texts itself, so transformers' warning about them would be wrong.
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
    """A causal language model on the machine's device, with adapters merged and the checkpoint's own dropout."""
    adapter = _adapter_folder(resolve(name, key), revision)
    if adapter is not None:
        shapes = _adapter_shapes(adapter, key)
        return _merge(load_causal_lm(_base_of(adapter, key), key=key, dtype=dtype), adapter, shapes, key)
    checkpoint = Checkpoint(name=name, key=key, revision=revision, trust_remote_code=trust_remote_code)
    return _load(AutoModelForCausalLM, checkpoint, dtype)


def load_reward_model(
    name: str,
    *,
    key: str,
    dtype: str = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """A sequence-classification model with one output. Raises BadInput for any other number of outputs."""
    model = load_classifier(name, key=key, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code)
    if model.config.num_labels != 1:
        raise BadInput(f"{key}: {name}: gives {model.config.num_labels} outputs; a reward model gives one")
    return model


def load_classifier(
    name: str,
    *,
    key: str,
    dtype: str = "float32",
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """A sequence-classification model. An adapter is merged into its base, and brings the head that its base lacks."""
    checkpoint = Checkpoint(name=name, key=key, revision=revision, trust_remote_code=trust_remote_code)
    adapter = _adapter_folder(resolve(name, key), revision)
    if adapter is None:
        return _load(AutoModelForSequenceClassification, checkpoint, dtype)
    shapes = _adapter_shapes(adapter, key)
    heads = [shape[0] for part, shape in shapes.items() if part in ("score.weight", "classifier.weight")]
    base, outputs = Checkpoint(name=_base_of(adapter, key), key=key), heads[0] if heads else None
    model = _load(AutoModelForSequenceClassification, base, dtype, given=shapes, outputs=outputs)
    return _merge(model, adapter, shapes, key)


def load_reward_start(name: str, *, key: str, seed: int) -> Any:
    """A model to train as a reward model, in float32 and with one output. If the checkpoint has no head, the head is
    initialised from `seed`. Raises BadInput if any other weight is missing."""
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
    """The model with its adapter merged, if it has one."""
    return model.merge_and_unload().eval() if isinstance(model, peft.PeftModel) else model


def _load(
    auto: Any, checkpoint: Checkpoint, dtype: str, *, given: Collection[str] = (), outputs: int | None = None
) -> Any:
    """A model with all its weights, except those that are `given` by an adapter. `outputs` is the number of outputs of
    a classifier, if the checkpoint does not say it."""
    folder = resolve(checkpoint.name, checkpoint.key)
    verbosity = transformers.logging.get_verbosity()
    if given:
        transformers.logging.set_verbosity_error()  # it would report the weights that the adapter gives as missing
    try:
        config = AutoConfig.from_pretrained(
            folder, revision=checkpoint.revision, trust_remote_code=checkpoint.trust_remote_code
        )
        if outputs is not None:
            config.num_labels = outputs
        model, report = auto.from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
            output_loading_info=True,
            revision=checkpoint.revision,
            trust_remote_code=checkpoint.trust_remote_code,
        )
    except Exception as error:
        raise BadInput(f"{checkpoint.key}: {checkpoint.name}: cannot be loaded: {error}") from None
    finally:
        transformers.logging.set_verbosity(verbosity)
    # transformers initialises missing weights at random. A score head of random numbers is not a reward model.
    missing = sorted(set(report["missing_keys"]) - set(given))
    if missing:
        raise BadInput(
            f"{checkpoint.key}: {checkpoint.name}: lacks the weights {', '.join(missing[:3])}; it is not a model of "
            "this kind"
        )
    return model.to(device()).eval()


def _adapter_folder(folder: str, revision: str | None) -> Path | None:
    """The folder of an adapter's configuration: `folder` itself, or its copy of a repository on the Hub. None for a
    checkpoint that is no adapter, and where the Hub does not answer."""
    try:
        found = find_adapter_config_file(folder, revision=revision)
    except Exception:
        return None
    return None if found is None else Path(found).parent


def _adapter_shapes(folder: Path, key: str) -> dict[str, tuple[int, ...]]:
    """The shape of each weight of an adapter, by its name in the base model. Raises BadInput for an adapter without
    safetensors or with damaged ones."""
    file = folder / "adapter_model.safetensors"
    try:
        # Of a repository on the Hub only the configuration may have been fetched.
        if not file.is_file() and (hub := _HUB_SNAPSHOT.search(folder.as_posix())):
            name = f"{hub[1]}/{hub[2]}"
            file = Path(hf_hub_download(name, "adapter_model.safetensors", revision=hub[3]))
        with safe_open(file, framework="pt") as weights:
            names = list(weights.keys())
            return {_in_base(name): tuple(weights.get_slice(name).get_shape()) for name in names}
    except FileNotFoundError:
        raise BadInput(
            f"{key}: {folder}: has no adapter_model.safetensors (pickled weights are not loaded); save the adapter "
            "again with model.save_pretrained(...)"
        ) from None
    except Exception as error:
        raise BadInput(f"{key}: {folder}: its adapter_model.safetensors cannot be loaded: {error}") from None


def _in_base(name: str) -> str:
    """The base model's name for an adapter's weight."""
    return (
        name.removeprefix("base_model.model.").replace(".modules_to_save.default", "").replace(".modules_to_save", "")
    )


def _merge(model: Any, adapter: Path, shapes: Collection[str], key: str) -> Any:
    """The model with an adapter merged. Raises BadInput for an adapter of another model."""
    modules = dict(model.named_modules())
    # peft passes over weights whose layer the model does not have.
    layers = {re.split(r"\.lora_", part)[0] if ".lora_" in part else part.rpartition(".")[0] for part in shapes}
    if unknown := sorted(layers - modules.keys()):
        raise BadInput(f"{key}: {adapter}: its base model has no layer {unknown[0]}; the adapter is of another model")
    try:
        with ignore_checkpointing_warning():
            return peft.PeftModel.from_pretrained(model, str(adapter)).merge_and_unload().eval()
    except Exception as error:
        raise BadInput(f"{key}: {adapter}: cannot be merged into its base model: {error}") from None


def _base_of(folder: Path, key: str) -> str:
    """The base model of an adapter: a path relative to the adapter's folder, or a name."""
    try:
        base = str(json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (ValueError, KeyError, OSError):
        raise BadInput(f"{key}: {folder}: its adapter_config.json does not name a base model") from None
    return str(folder / base) if (folder / base).is_dir() else base


@contextmanager
def ignore_checkpointing_warning() -> Iterator[None]:
    """Ignore a deprecation warning that users cannot fix: peft reads an attribute that transformers 5.18 renames."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield


def save_trained(
    model: Any, tokenizer: Any, folder: Path, *, base: str, card: str, curve: Sequence[Mapping[str, float]]
) -> None:
    """Write a checkpoint with its README.md (`card`) and its training.jsonl (`curve`) atomically."""
    with atomic_directory(folder) as temporary:
        save(model, tokenizer, temporary, base=base)
        (temporary / "README.md").write_text(card, encoding="utf-8")
        rows = "".join(json.dumps(row, sort_keys=True) + "\n" for row in curve)
        (temporary / "training.jsonl").write_text(rows, encoding="utf-8")


def save(model: Any, tokenizer: Any, folder: Path, *, base: str) -> None:
    """Write a checkpoint as safetensors with its tokenizer. `base` is the base model that an adapter refers to."""
    transformers.utils.logging.disable_progress_bar()  # the run reports its own progress
    if isinstance(model, peft.PeftModel):
        for config in model.peft_config.values():
            config.base_model_name_or_path = base
        # By default peft looks up the base to see whether its embeddings were resized. The base is frozen, and its path
        # is relative to the checkpoint's final folder, so the lookup would fail.
        model.save_pretrained(folder, save_embedding_layers=False)
    else:
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if isinstance(model, peft.PeftModel):
        # peft stores names in sets, whose order differs between processes. Sorting gives equal adapters equal files.
        path = folder / ADAPTER_CONFIG
        config = json.loads(path.read_text(encoding="utf-8"))
        write_json(path, config | {key: sorted(config[key]) for key in _SETS if isinstance(config.get(key), list)})
