"""`passerby train RECIPE`: data, options and a run folder in; an artefact and a number out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, make_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from passerby.cli.parsing import check_report
from passerby.errors import UsageError, listing

if TYPE_CHECKING:
    from passerby.metrics import Convention
    from passerby.recipes import Preset, Published, PublishedAccuracy
    from passerby.records import ReidData

__all__ = ["main"]


@dataclass(frozen=True)
class RunOptions:
    """What is trained on what, and where the run lives."""

    dataset: Annotated[str, tyro.conf.arg(aliases=("--source",))] = ""
    """data set to train on: market1501, msmt17, cuhk03-np-detected, a folder of one folder an identity, a manifest.csv ..., or a
    part of one: street:campus; several with + between them: M+D+C2"""
    data: Path | None = None
    """folder that holds the data set (default: PASSERBY_DATA)"""
    trial: str = ""
    """one of a small data set's repeated splits, by its name or its number (default: the first)"""
    out: Path | None = None
    """run folder (default: runs/PRESET or runs/RECIPE-DATASET, with the trial behind it)"""
    resume: bool = False
    """go on with the run in --out where it stopped; its options must be the same"""
    eval_only: bool = False
    """train nothing: measure the artefact of the run in --out, by the preset's protocol or on the data set"""
    convention: str = ""
    """how the logged evaluation counts: market1501, layumi, any-camera ... (default: that of the preset, else market1501;
    cuhk03-classic for the classic CUHK03 splits)"""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1 ..."""
    workers: int = 2
    """processes that decode images; 0: none beside the training itself"""
    json: Path | None = None
    """write the scores to this file too"""


def _split_off(arguments: list[str], flag: str) -> str | None:
    """Take `flag VALUE` or `flag=VALUE` out of `arguments`: it decides the defaults of all other flags."""
    for position, word in enumerate(arguments):
        if word == flag:
            if position + 1 >= len(arguments):
                raise UsageError(f"{flag} needs a value.")
            value = arguments[position + 1]
            del arguments[position : position + 2]
            return value
        if word.startswith(flag + "="):
            del arguments[position]
            return word.removeprefix(flag + "=")
    return None


def _print_presets(recipe_name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from passerby.recipes import load_preset, preset_names

    what = ("preset", "what", "data set")
    table = Table(*what, "Rank-1", "mAP", "convention", "source", title="published rows (not measured here)")
    objects = Table(*what, "accuracy", "mean over classes", "source", title="published classifiers (not measured here)")
    for preset in map(load_preset, preset_names(recipe_name)):
        row = (preset.name, preset.title, preset.dataset)
        figures, accuracy = preset.published, preset.published_accuracy
        if accuracy is not None:
            objects.add_row(*row, f"{accuracy.accuracy:.2%}", f"{accuracy.class_accuracy:.2%}", accuracy.source)
        elif figures is not None:
            table.add_row(*row, f"{figures.rank1:.2%}", f"{figures.map:.2%}", figures.convention, figures.source)
        else:
            table.add_row(*row, "", "", "", "")
    console = Console(width=max(Console().width, 160))
    for each in (table, objects):
        if each.row_count:
            console.print(each)


def _resolve(recipe_name: str, arguments: list[str]) -> tuple[RunOptions, Any, Any]:
    """Preset, then --config file, then flags; later over earlier."""
    from passerby.cli.parsing import parse
    from passerby.configs import merged, read_yaml
    from passerby.recipes import load_preset, recipe

    module = recipe(recipe_name)
    preset_name, config_file = _split_off(arguments, "--preset"), _split_off(arguments, "--config")
    config, run, preset = module.Config(), RunOptions(), None
    if preset_name is not None:
        preset = load_preset(preset_name)
        if preset.recipe != recipe_name:
            raise UsageError(f'preset "{preset_name}" belongs to: passerby train {preset.recipe} --preset {preset_name}')
        config = merged(config, preset.options, f"preset {preset_name}")
        run = merged(run, {"dataset": preset.dataset, "out": Path("runs") / preset_name}, f"preset {preset_name}")
    if config_file is not None:
        values = read_yaml(Path(config_file))
        own = {key: values.pop(key) for key in list(values) if key.replace("-", "_") in RunOptions.__dataclass_fields__}
        config, run = merged(config, values, config_file), merged(run, own, config_file)
    both = make_dataclass(
        "Options",
        [("run", Annotated[RunOptions, tyro.conf.arg(name="")]), ("options", Annotated[module.Config, tyro.conf.arg(name="")])],
        frozen=True,
    )
    both.__doc__ = (
        (module.__doc__ or "").strip().splitlines()[0] + "\n\n"
        f"Options come from --preset NAME, then --config FILE (YAML), then flags; later over earlier. "
        f"`passerby train {recipe_name} --presets` lists the published rows."
    )
    chosen = parse(both, f"passerby train {recipe_name}", arguments, both(run, config))
    if chosen.run.eval_only:
        _check_eval_only(chosen.run, config, chosen.options)
    return chosen.run, chosen.options, preset


def _check_eval_only(run: RunOptions, before: Any, config: Any) -> None:
    """Refuse what acts on training alone."""
    if run.resume:
        raise UsageError("--resume trains on, --eval-only trains nothing: give one of them.")
    if run.out is None:
        raise UsageError("--eval-only measures a run that was trained: name its folder with --out, or its --preset.")
    acting = ("target", "target_data")  # they say what is measured
    changed = [key for key, value in vars(config).items() if value != getattr(before, key) and key not in acting]
    if changed:
        flags = listing(f"--{key.replace('_', '-')}" for key in changed)
        raise UsageError(f"{flags}: acts on training, and --eval-only trains nothing. Leave it out.")


def main(arguments: Sequence[str]) -> int:
    """Run `passerby train` with the words that follow it."""
    from passerby.recipes import RECIPES, about

    words = list(arguments)
    if words and words[0].startswith("-") and words[0] not in ("-h", "--help"):
        raise UsageError(f"name the recipe before its flags: passerby train {next(iter(RECIPES))} {words[0]} ...")
    if not words or words[0].startswith("-"):
        print("usage: passerby train RECIPE [--preset NAME] [--config FILE] [options]     passerby train RECIPE --help\n")
        for name in RECIPES:
            print(f"  {name:<12}{about(name)}")
        print("\nPresets, with the published figures: passerby train RECIPE --presets")
        return 0
    name, rest = words[0], words[1:]
    if "--presets" in rest:
        _print_presets(name)
        return 0
    try:
        run, config, preset = _resolve(name, rest)
    except SystemExit:  # the help was asked for and is printed
        return 0
    if run.eval_only:
        _evaluate(run, config, preset)
    else:
        _train(name, run, config, preset)
    return 0


def _train(name: str, run: RunOptions, config: Any, preset: Preset | None) -> None:
    from passerby import datasets
    from passerby.artefact import read_description
    from passerby.cli.evaluate_classes import published_accuracy
    from passerby.datasets.registry import data_folder, part_of, read_parts
    from passerby.metrics.conventions import resolve, usual
    from passerby.recipes import recipe

    if not run.dataset and run.data is None and "PASSERBY_DATA" not in os.environ:
        raise UsageError(
            f"train on what? Give --data DIR (and --dataset NAME where it cannot be told), or --preset NAME. "
            f"See: passerby train {name} --help"
        )
    named = run.dataset or datasets.detect(data_folder(run.data))
    data = datasets.one_trial(read_parts(named, run.data), run.trial)
    if getattr(config, "target", "") and config.target_data is None and not Path(config.target).is_dir():
        config = replace(config, target_data=run.data)
    measured = _measured(config, data)
    classifies = getattr(config, "task", "") == "classify"
    if classifies:
        _refuse_convention(run)
    published = published_accuracy(preset, data) if classifies else _published(name, preset, config, named)
    convention = resolve(run.convention or (preset.counted_by if preset is not None else "") or usual(measured.name))
    if run.convention and not len(measured.query):
        raise UsageError(f"--convention is {run.convention}, but {measured.name} has no queries to evaluate. Leave it out.")
    if len(measured.query) and convention.same_camera == "drop" and not classifies:
        datasets.check_evaluable(measured)
    out = run.out or Path("runs") / f"{name}-{data.name.replace(':', '-')}"
    if run.out is None and run.trial:
        out = out.with_name(f"{out.name}-{run.trial.replace(' ', '-')}")
    _check_artefact(out)
    check_report(run.json)
    for piece in named.split("+"):
        _check_outside(out, *part_of(piece, run.data))
    if (target := getattr(config, "target", "")) and not Path(target).is_dir():
        _check_outside(out, *part_of(target, config.target_data))
    path = recipe(name).train(config, data, out, resume=run.resume, device=run.device, workers=run.workers, convention=convention)
    if os.environ.get("RANK", "0") == "0":  # torchrun starts several processes; the training has left their group by now
        if target:  # what was measured, was measured there
            data = replace(data, name=f"{data.name} to {target}", query=data.query[:0], notes=read_description(path).notes)
        if getattr(config, "validation", 0):  # published figures are of other people
            data = replace(data, name=f"held-out training people of {data.name}", notes=read_description(path).notes)
            published = None
        _report(path, out, data, None if classifies else convention, published, run)
        if preset is not None and preset.protocol:
            print(f"to measure it: passerby evaluate {path} --protocol {preset.protocol} --data DIR")


def _published(recipe_name: str, preset: Preset | None, config: Any, trained_on: str) -> Published | None:
    """The preset's figures, where the run trains and is measured on the data that they are of."""
    from passerby.configs import plain
    from passerby.datasets.unlabelled import layout_of
    from passerby.report import published_beside

    if preset is None or preset.published is None:
        return None
    target = getattr(config, "target", "")
    tested_on = layout_of(Path(target)) or target if target and Path(target).is_dir() else target or trained_on
    row = published_beside(recipe_name, plain(config), trained_on, tested_on, preset.name)
    return preset.published if row is not None and row.trained_alike and row.tested_alike else None


def _measured(config: Any, data: ReidData) -> ReidData:
    """What a training is measured on: the data itself or, of a recipe that has one, its target."""
    from passerby.datasets.unlabelled import data_of_target
    from passerby.records import ReidData

    target = getattr(config, "target", "")
    if not target:
        return data
    return data_of_target(target, config.target_data) or ReidData(Path(target).resolve().name)


def _evaluate(run: RunOptions, config: Any, preset: Preset | None) -> None:
    """Print what `passerby evaluate` finds for the artefact that a run has made."""
    from passerby.artefact import read_description
    from passerby.cli import evaluate, evaluate_classes
    from passerby.cli.stored import is_model
    from passerby.datasets import detect
    from passerby.datasets.registry import data_folder, part_of

    assert run.out is not None
    artefact = run.out / "artefact"
    if not is_model(artefact):
        raise UsageError(f'--eval-only: no artefact in the run "{run.out}". Train it first, or name another run with --out.')
    if read_description(artefact).config.get("task") == "classify":
        _refuse_convention(run)
        named = run.dataset or detect(data_folder(run.data))
        evaluate_classes.run(
            artefact, named, run.data, trial=run.trial, device=run.device, workers=run.workers, preset=preset, json=run.json
        )  # fmt: skip
        return
    shared = {"inputs": (artefact,), "device": run.device, "workers": run.workers, "json": run.json}
    if preset is not None and preset.protocol and run.dataset == preset.dataset:
        if run.convention or run.trial:
            raise UsageError(f"--convention and --trial: protocol {preset.protocol} of the preset says both. Leave them out.")
        evaluate.run(evaluate.Options(**shared, protocol=preset.protocol, data=run.data))
        return
    target = getattr(config, "target", "")  # adapted networks are for their target
    named = target or run.dataset or detect(data_folder(run.data))
    if target and Path(target).is_dir():
        dataset, data = _layout_to_measure(target), Path(target)
    elif "+" in named:
        raise UsageError(f"--eval-only: {named} is joined to train on and has no queries. Name one data set with --dataset.")
    else:
        dataset, data = part_of(named, getattr(config, "target_data", None) or run.data)
    convention = run.convention or (preset.counted_by if preset is not None else "")
    evaluate.run(evaluate.Options(**shared, dataset=dataset, data=data, trial=run.trial, convention=convention))


def _refuse_convention(run: RunOptions) -> None:
    if run.convention:
        raise UsageError(f"--convention is {run.convention}, but a classifier is measured by its errors alone. Leave it out.")


def _layout_to_measure(target: str) -> str:
    """The name of the data set that a folder is."""
    from passerby.datasets.unlabelled import layout_of

    layout = layout_of(Path(target))
    if layout is None:
        raise UsageError(
            f'--eval-only: the target "{target}" is a folder of crops, with no query and gallery to measure on. Name a data set '
            "with --target, or measure labelled images with passerby evaluate."
        )
    return layout


def _check_artefact(out: Path) -> None:
    """Refuse before the work what could not be written after it."""
    if out.exists() and not out.is_dir():
        raise UsageError(f'the run folder "{out}" is a file: give another --out.')
    artefact = out / "artefact"
    if artefact.exists() and not (artefact / "passerby.json").is_file():
        raise UsageError(f"{artefact} exists and is no artefact: choose another --out, or move it away.")


def _check_outside(out: Path, dataset: str, data: Path | None) -> None:
    """A run among the images would be read as a part of them the next time."""
    from passerby.datasets import DATASETS, find_root, resolve

    layout = DATASETS[resolve(dataset)]
    root = find_root(layout, data)
    beside = root.is_file() or layout.name == "manifest"  # a manifest says what belongs to it, so that runs may lie beside it
    inside = out.resolve() == root.resolve() or (not beside and out.resolve().is_relative_to(root.resolve()))
    if inside:
        raise UsageError(f'the run folder "{out}" lies in the data set "{root}": give another --out.')


def _report(
    path: Path, out: Path, data: ReidData, convention: Convention | None, published: Published | PublishedAccuracy | None,
    run: RunOptions,
) -> None:  # fmt: skip
    """Print the last evaluation beside the published row, and where the artefact is."""
    from rich.console import Console

    from passerby.cli.evaluate_tables import MEASURES, print_beside
    from passerby.files import write_json
    from passerby.plots import plot_curves
    from passerby.training import load_history
    from passerby.training.history import HISTORY_FILE

    history, console = load_history(out), Console()
    evaluations = history.evaluations
    last = {key: value for key, value in evaluations[-1].items() if key in MEASURES} if evaluations else {}
    title = f"{data.name} after {evaluations[-1]['epoch']} epochs" if evaluations else ""
    print_beside(title, last, published, convention=convention, notes=data.notes, artefact=path)
    if history.epochs:
        plot_curves([out], out / "curves.png")
        console.print(f"curves: {out / 'curves.png'}", soft_wrap=True, highlight=False)
    if not last and len(data.query):
        console.print(f"no evaluation in {out / HISTORY_FILE}: passerby evaluate {path} makes the numbers again", soft_wrap=True)
    if run.json is not None:
        facts = {"artefact": str(path), "run": str(out), "dataset": data.name, "scores": last}
        counted = {} if convention is None else {"convention": asdict(convention)}
        write_json(run.json, {**facts, **counted, "notes": list(data.notes)})
