"""Where the gate runs, beside where the record's results were made."""

from __future__ import annotations

from typing import Any

from tarazu.record.manifest import Environment
from tarazu.run.lock import hardware as hardware_here
from tarazu.run.lock import versions

_HARDWARE = ("machine", "processor", "cores", "accelerators")


def here(*, hardware: bool) -> dict[str, Any]:
    """Versions and, where asked for (it loads torch), hardware of this machine."""
    return {"versions": versions(), **({"hardware": hardware_here()} if hardware else {})}


def differences(there: Environment, now: dict[str, Any]) -> list[str]:
    """What is not the same here as where the results were made, by name: version there, version here. Hardware is
    compared where `now` has it."""
    found = []
    for name, version in sorted(there.versions.items()):
        other = now["versions"].get(name)
        if other != version:
            found.append(f"{name} {version} there, {other or 'not installed'} here")
    for name in _HARDWARE if "hardware" in now else ():
        if name in there.hardware and there.hardware[name] != now["hardware"].get(name):
            found.append(f"{name} {there.hardware[name]} there, {now['hardware'].get(name)} here")
    return found
