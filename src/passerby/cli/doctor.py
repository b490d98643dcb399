"""`passerby doctor`: what is installed, what of it works, and whether the numbers are right, in some ten seconds."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from passerby.errors import PasserbyError

__all__ = ["Options", "run"]


@dataclass(frozen=True)
class Options:
    """Say what is installed and what of it works, and try the main parts on something tiny.

    Give its output with a report of an error. It ends with status 1 where a part that must work does not; an extra that is not
    installed is no error.
    """

    self_test: bool = True
    """try the evaluator, a training, an artefact, a render and an export"""
    json: Path | None = None
    """write what was found to this file"""


def run(options: Options) -> None:
    """Look, try, tell."""
    from passerby.cli.doctor_checks import Trial, devices, extras, libraries, package, trials

    found: dict[str, Any] = {
        "package": package(), "python": f"{platform.python_version()}, {sys.executable}", "system": platform.platform(),
        "libraries": libraries(), "devices": devices(), "extras": extras(),
    }  # fmt: skip
    _tell(found)
    done: list[Trial] = []
    if options.self_test:
        for trial in trials():
            done.append(trial)
            _tell_trial(trial)
    if options.json is not None:
        from dataclasses import asdict

        from passerby.files import write_json

        write_json(options.json, {**found, "trials": [asdict(trial) for trial in done]})
    broken = [trial.what for trial in done if trial.found != "skipped" and not trial.works]
    broken += [f"library {name}" for name, version in found["libraries"].items() if version.startswith("broken")]
    if broken:
        from passerby.errors import listing

        raise PasserbyError(f"{listing(broken, 9)} does not work here: install passerby anew in an environment of its own.")


def _tell(found: dict[str, Any]) -> None:
    print(f"passerby {found['package']['version']}, imported from {found['package']['imported_from']}")
    for warning in found["package"]["warnings"]:
        print(f"  warning: {warning}")
    print(f"python {found['python']}\nsystem {found['system']}")
    print("libraries: " + ", ".join(f"{name} {version}" for name, version in found["libraries"].items()))
    for device in found["devices"]:
        print(f"device: {device}")
    width = max(map(len, found["extras"]))
    for name, state in found["extras"].items():
        print(f"extra {name:<{width}}  {state}")


def _tell_trial(trial: Any) -> None:
    print(f"{'ok     ' if trial.works else 'skipped' if trial.found == 'skipped' else 'BROKEN '} {trial.what}: {trial.said}")
