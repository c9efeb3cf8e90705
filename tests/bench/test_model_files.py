"""Models of llama.cpp and OpenVINO beside the benchmark's: names, refusals, and the same responses in float32."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tiny
from gguf_files import gguf_bytes, text, write_llama

from tarazu import cli
from tarazu.bench import generate, gguf
from tarazu.bench.results import GenerationSettings, Skipped, Sweep, Trial
from tarazu.bench.subprocesses import Stopped
from tarazu.errors import BadInput

SHAPE = {
    "general.architecture": "llama",
    "general.file_type": 0,
    "llama.block_count": 2,
    "llama.embedding_length": 32,
    "tokenizer.ggml.tokens": ["word"] * tiny.VOCABULARY,
}
"""What a file says of the model `tiny.llama`."""
WEIGHTS = '<layer type="Const"><data element_type="{}" size="{}"/></layer>'


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny.saved(tiny.llama(), tmp_path_factory.mktemp("llama"))


def exported(folder: Path, checkpoint: str, *, width: int = 32, mode: str = "") -> Path:
    """A folder as optimum writes it, as far as it is read before OpenVINO loads it."""
    folder.mkdir()
    config = json.loads((Path(checkpoint) / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": width}))
    compressed = f'<nncf><weight_compression><mode value="{mode}"/></weight_compression></nncf>' if mode else ""
    layers = WEIGHTS.format("f32", 900) + WEIGHTS.format("i64", 9999) + WEIGHTS.format("f16", 8)
    xml = f"<net><layers>{layers}</layers><rt_info>{compressed}</rt_info></net>"
    (folder / "openvino_model.xml").write_text(xml)
    return folder


def bench(tmp_path: Path, *arguments: str) -> Any:
    out = tmp_path / "bench.json"
    size = ["--prompts", "4", "--new-tokens", "4", "--alone", "4", "--rounds", "1"]
    assert cli.main(["bench", "generate", *size, "--json", str(out), *arguments]) == 0
    return json.loads(out.read_text())["contenders"]


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["bench", "generate", "--prompts", "4", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("tarazu: ")
    return error


def test_metadata_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_bytes({**SHAPE, "general.name": "كلمة", "llama.rope.freq_base": 0.5}))
    found = gguf.read_metadata(path)
    assert found == {
        **SHAPE,
        "tokenizer.ggml.tokens": tiny.VOCABULARY,
        "general.name": "كلمة",
        "llama.rope.freq_base": 0.5,
    }


def test_no_part_of_a_file_passes_for_it(tmp_path: Path) -> None:
    complete = gguf_bytes({"general.architecture": "llama", "a": ["b", "c"], "general.file_type": 7})
    complete = complete[: complete.index(b"general.file_type") + 17 + 8]
    path = tmp_path / "part.gguf"
    for length in range(len(complete)):
        path.write_bytes(complete[:length])
        with pytest.raises(BadInput, match=r"part\.gguf: is not a(.complete)? GGUF file"):
            gguf.read_metadata(path)
    path.write_bytes(complete)
    assert gguf.read_metadata(path)["general.file_type"] == 7


@pytest.mark.parametrize(
    "value",
    [
        struct.pack("<IQ", 8, 2**63),  # a text longer than the file
        struct.pack("<IIQ", 9, 4, 2**62),  # an array longer than the file
        struct.pack("<IIQ", 9, 8, 2**62),
        struct.pack("<I", 13),  # no such type
        struct.pack("<IIQ", 9, 9, 1) * 2000,  # arrays in arrays
    ],
)
def test_impossible_values_are_refused(value: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text("key") + value)
    with pytest.raises(BadInput, match="is not a complete GGUF file"):
        gguf.read_metadata(path)


def test_files_of_other_programs_are_contenders(tmp_path: Path, checkpoint: str) -> None:
    """Where their packages are missing, they are skipped with the line that installs them."""
    quantised = tmp_path / "quantised.gguf"
    quantised.write_bytes(gguf_bytes({**SHAPE, "general.file_type": 15}))
    folders = [exported(tmp_path / "full", checkpoint), exported(tmp_path / "int8", checkpoint, mode="int8_asym")]
    options = ["--gguf", str(quantised), *(part for folder in folders for part in ("--openvino", str(folder)))]
    names = ["llama_cpp_q4_k_m", "openvino_fp32", "openvino_int8"]
    found = bench(tmp_path, "--model", checkpoint, *options, "--only", ",".join(names))
    assert sorted(found) == names
    for name, package, extra in (
        ("llama_cpp_q4_k_m", "llama_cpp", "llama-cpp"),
        ("openvino_fp32", "openvino_genai", "openvino"),
    ):
        reason = found[name]["skipped"]
        if find_spec(package) is None:
            assert reason == f"{package} is not installed: pip install 'tarazu[{extra}]'"
        else:
            assert "cannot load it" in reason  # neither has weights


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"llama.block_count": 3}, "has 3 layers, but --model has 2"),
        ({"llama.embedding_length": 64}, "has 64 numbers per token, but --model has 32"),
        ({"tokenizer.ggml.tokens": ["word"] * 9}, "has 9 words, but --model has 264"),
        ({"general.architecture": "opt"}, "does not say its type, words, layers and width"),
    ],
)
def test_a_file_of_another_model_is_refused(
    change: dict[str, Any], message: str, tmp_path: Path, checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_bytes(SHAPE | change))
    assert f"--gguf {path}: {message}" in refusal(capsys, "--model", checkpoint, "--gguf", str(path))


def test_a_folder_of_another_model_is_refused(
    tmp_path: Path, checkpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = exported(tmp_path / "export", checkpoint, width=48)
    error = refusal(capsys, "--model", checkpoint, "--openvino", str(folder))
    assert f"--openvino {folder}: has 48 numbers per token, but --model has 32" in error
    (folder / "openvino_model.xml").write_text("<net>")
    assert "cannot be read" in refusal(capsys, "--model", checkpoint, "--openvino", str(folder))
    (folder / "openvino_model.xml").unlink()
    error = refusal(capsys, "--model", checkpoint, "--openvino", str(folder))
    assert "has no openvino_model.xml; write it with `optimum-cli export openvino`" in error


def test_files_that_cannot_be_contenders_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, twin = tmp_path / "model.gguf", tmp_path / "twin.gguf"
    assert "No such file" in refusal(capsys, "--model", "x", "--gguf", str(path))
    for file in (path, twin):
        file.write_bytes(gguf_bytes(SHAPE))
    assert "--gguf: needs --model" in refusal(capsys, "--gguf", str(path))
    error = refusal(capsys, "--model", "x", "--gguf", str(path), "--gguf", str(twin))
    assert f"--gguf {twin}: is f32, as {path} is; name one" in error
    error = refusal(capsys, "--model", "x", "--gguf", str(path), "--only", "llama_cpp_q8_0")
    assert "no such contender; there are" in error and "llama_cpp_f32" in error


def test_a_crash_of_llama_cpp_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without repacked weights it is tried again."""
    crashing = [True]

    def run(module: str, name: str, work: generate.GenerationWork) -> str:
        if crashing[0] or work.repack:
            raise Stopped(f"{name}: ended by SIGSEGV: no message")
        return Sweep(trials=(Trial(batch_size=8, rate=1.0), Trial(batch_size=16, rate=2.0))).model_dump_json()

    monkeypatch.setattr(generate, "run_in_subprocess", run)
    work = generate.GenerationWork(
        folder="", new_tokens=4, use_bf16=False, use_cuda=False, prompts=4, batches=(8, 16), file="model.gguf"
    )
    settings = GenerationSettings(precision="weights q8_0")
    plan = generate._Plan(program="llama_cpp", work=work, settings=settings)
    assert generate._swept(plan) == Skipped(skipped="llama_cpp_sweep: ended by SIGSEGV: no message")
    crashing[0] = False
    swept = generate._swept(plan)
    assert isinstance(swept, generate._Plan)
    assert swept.work.batch_size == 16 and not swept.work.repack
    assert swept.settings.notes == ["batch 16", "weights q8_0, not repacked (llama.cpp crashes here if they are)"]


@pytest.mark.proof
@pytest.mark.parametrize("program", ["llama_cpp", "openvino"])
def test_other_programs_answer_as_plain_generate_does(program: str, tmp_path: Path, checkpoint: str) -> None:
    """In float32, apart from near-ties. OpenVINO's format is written by optimum, which may lie in an environment of
    its own."""
    if program == "llama_cpp":
        pytest.importorskip("llama_cpp")
        options = ["--gguf", str(write_llama(tmp_path / "model.gguf", tiny.llama()))]
        name = "llama_cpp_f32"
    else:
        pytest.importorskip("openvino_genai")
        export = shutil.which("optimum-cli") or pytest.skip("optimum-cli is not installed")
        task = ["--task", "text-generation-with-past", "--weight-format", "fp32"]
        subprocess.run(
            [export, "export", "openvino", "--model", checkpoint, *task, str(tmp_path / "export")], check=True
        )
        options = ["--openvino", str(tmp_path / "export")]
        name = "openvino_fp32"
    only = f"hf_batch1,{name}"
    # Repeated options: the last count.
    size = ["--prompts", "64", "--new-tokens", "24", "--alone", "64"]
    found = bench(tmp_path, "--model", checkpoint, *options, "--only", only, *size)
    assert found[name]["responses"] == 64
    assert found[name]["precision"] == "float32"
    assert found[name]["batch_size"] in (8, 16, 32, 64)
    agreement = found[name]["agreement"]
    assert agreement["differing"] == 0
    assert agreement["equal"] > 32
