"""Models in the formats of other programs that `tarazu bench generate` compares with: what they are named, and whether
they are the benchmark's model."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

from tarazu.bench.gguf import read_metadata
from tarazu.bench.settings import GenerationBench
from tarazu.errors import BadInput

Program = Literal["llama_cpp", "openvino"]
PROGRAMS: dict[Program, tuple[str, str]] = {
    "llama_cpp": ("llama_cpp", "llama-cpp"),
    "openvino": ("openvino_genai", "openvino"),
}
"""The package that each program needs, and the extra that installs it."""

_FILE_TYPES = (
    *("f32", "f16", "q4_0", "q4_1", "", "", "", "q8_0", "q5_0", "q5_1", "q2_k", "q3_k_s", "q3_k_m", "q3_k_l"),
    *("q4_k_s", "q4_k_m", "q5_k_s", "q5_k_m", "q6_k", "iq2_xxs", "iq2_xs", "q2_k_s", "iq3_xs", "iq3_xxs", "iq1_s"),
    *("iq4_nl", "iq3_s", "iq3_m", "iq2_s", "iq2_m", "iq4_xs", "iq1_m", "bf16"),
)
"""The names that users of llama.cpp know, in the order of `general.file_type`."""


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model in another program's format. `weights` names their type, such as f32 or q4_k_m."""

    program: Program
    option: str
    path: Path
    weights: str
    words: int
    layers: int
    width: int

    @property
    def name(self) -> str:
        """The contender's name."""
        return f"{self.program}_{self.weights}"

    @property
    def float32(self) -> bool:
        return self.weights in ("f32", "fp32")

    @property
    def precision(self) -> str:
        """What the contender computes in, for the reader."""
        if self.float32:
            return "float32"
        rest = "keys and values f16" if self.program == "llama_cpp" else "computed in what OpenVINO chooses"
        return f"weights {self.weights}, {rest}"

    def unavailable(self, cuda: bool) -> str | None:
        """Why the contender cannot run here, if it cannot."""
        package, extra = PROGRAMS[self.program]
        if find_spec(package) is None:
            return f"{package} is not installed: pip install 'tarazu[{extra}]'"
        return f"{package} is compared on a CPU, but the others use CUDA here" if cuda else None

    def check(self, model: Any) -> None:
        """Raises BadInput if it is another model than the benchmark's, judged by its shape."""
        config = model.config.get_text_config()
        words = model.get_input_embeddings().weight.shape[0]
        for what, ours, theirs in (
            ("words", words, self.words),
            ("layers", config.num_hidden_layers, self.layers),
            ("numbers per token", config.hidden_size, self.width),
        ):
            if ours != theirs:
                raise BadInput(
                    f"{self.option} {self.path}: has {theirs} {what}, but --model has {ours}; convert --model for it"
                )


def model_files(bench: GenerationBench) -> dict[str, ModelFile]:
    """The files of other programs, by the names of their contenders. Raises BadInput for one that cannot be used."""
    files = [*map(_gguf, bench.gguf), *map(_openvino, bench.openvino)]
    named: dict[str, ModelFile] = {}
    for file in files:
        if bench.model is None:
            raise BadInput(f"{file.option}: needs --model, the checkpoint that {file.path} was converted from")
        if file.name in named:
            raise BadInput(f"{file.option} {file.path}: is {file.weights}, as {named[file.name].path} is; name one")
        named[file.name] = file
    return named


def _gguf(path: Path) -> ModelFile:
    facts = read_metadata(path)
    kind = facts.get("general.architecture")
    words = facts.get("tokenizer.ggml.tokens", facts.get(f"{kind}.vocab_size"))
    layers, width = facts.get(f"{kind}.block_count"), facts.get(f"{kind}.embedding_length")
    file_type = facts.get("general.file_type")
    if not (
        isinstance(words, int) and isinstance(layers, int) and isinstance(width, int) and isinstance(file_type, int)
    ):
        raise BadInput(f"--gguf {path}: does not say its type, words, layers and width; convert the checkpoint again")
    weights = (_FILE_TYPES[file_type] if 0 <= file_type < len(_FILE_TYPES) else "") or f"type_{file_type}"
    return ModelFile(
        program="llama_cpp", option="--gguf", path=path, weights=weights, words=words, layers=layers, width=width
    )


_MODEL, _CONFIG = "openvino_model.xml", "config.json"


def _openvino(folder: Path) -> ModelFile:
    """A folder that `optimum-cli export openvino` wrote."""
    import transformers

    for name in (_MODEL, _CONFIG):
        if not (folder / name).is_file():
            raise BadInput(f"--openvino {folder}: has no {name}; write it with `optimum-cli export openvino`")
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
        weights = _weights_of(ElementTree.parse(folder / _MODEL).getroot())
    except (OSError, ValueError, KeyError, AttributeError, ElementTree.ParseError) as error:
        raise BadInput(f"--openvino {folder}: cannot be read: {error}") from None
    return ModelFile(
        program="openvino",
        option="--openvino",
        path=folder,
        weights=weights,
        words=config.vocab_size,
        layers=config.num_hidden_layers,
        width=config.hidden_size,
    )


_FLOATS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16"}
"""Types of constants, and the names of them that `--weight-format` uses."""


def _weights_of(network: ElementTree.Element) -> str:
    """The type of the weights: that to which they were compressed, or that of most numbers."""
    mode = network.find("rt_info/nncf/weight_compression/mode")
    if mode is not None:
        return str(mode.get("value", "")).partition("_")[0]
    sizes = dict.fromkeys(_FLOATS, 0)
    for constant in network.iterfind("layers/layer[@type='Const']/data"):
        kind = constant.get("element_type", "")
        if kind in sizes:
            sizes[kind] += int(constant.get("size", "0"))
    return _FLOATS[max(sizes, key=sizes.__getitem__)]
