"""The command line: `passerby VERB [THING] [options]`.

A verb is a module of this package with a frozen dataclass `Options` (its docstring is the help text, its field docstrings are
the flags) and a function `run(options)`; a verb whose flags depend on its words has `main(words)` instead. Only the module of the
verb that is asked for is imported, so `--help` is quick.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from passerby.errors import PasserbyError, nearest

__all__ = ["VERBS", "Verb", "main"]


@dataclass(frozen=True)
class Verb:
    """One row of `passerby --help`."""

    module: str
    summary: str


VERBS: dict[str, Verb] = {
    "demo": Verb("demo", "the whole way on an input that needs no download: data, training, a number, pictures"),
    "doctor": Verb("doctor", "what is installed, what of it works, and a self-test of ten seconds"),
    "data check": Verb("data_check", "name a data set, count it, and say what its evaluation will mean"),
    "data prepare": Verb("data_prepare", "convert a data set: MOT video to crops, any layout to Market layout or a manifest"),
    "lift": Verb("lift", "images of people to coloured clouds of points in 3-D, on a CPU"),
    "train": Verb("train", "train a recipe; alone it lists them"),
    "adapt": Verb("adapt", "fit a trained model to new cameras from unlabelled images, without training"),
    "embed": Verb("embed", "turn images into embeddings with a trained model"),
    "import": Verb("import_", "weights of another project as an artefact, every tensor accounted for"),
    "export": Verb("export", "a trained model as an ONNX, OpenVINO or TorchScript file, compared with torch"),
    "evaluate": Verb("evaluate", "Rank-1/5/10, mAP, mINP with their convention, per camera pair, with intervals"),
    "evaluate real": Verb("evaluate_real", "labelled videos of real people: a model beside colours and ImageNet features"),
    "compare norms": Verb("compare_norms", "batch norm, instance norm and camera-wise norm, at home and in a new place"),
    "explain-score": Verb("explain_score", "which conventions turn stored features into a claimed score"),
    "calibrate": Verb("calibrate", "the similarity from which on two images show one person, with its error rates"),
    "match": Verb("match", "do two images show one person: same, different or unsure"),
    "search": Verb("search", "find a person in a gallery: who is this, where else were they, when"),
    "link": Verb("link", "one identity over all cameras, from the tracks of a gallery"),
    "gallery info": Verb("gallery_info", "what a gallery holds"),
    "gallery set": Verb("gallery_set", "thresholds of a calibration, and the least times between cameras"),
    "gallery identities": Verb("gallery_identities", "the people of a gallery, or the crops of one"),
    "gallery name": Verb("gallery_name", "make an identity, name it anew, confirm or reject crops of it"),
    "gallery merge": Verb("gallery_merge", "two identities are one person"),
    "gallery split": Verb("gallery_split", "some crops of an identity are another person"),
    "gallery undo": Verb("gallery_undo", "take the latest change of identities back"),
    "gallery audit": Verb("gallery_audit", "who was named, put together and erased, and when"),
    "gallery erase": Verb("gallery_erase", "a person, crops, or what is too old, for good"),
    "gallery copy": Verb("gallery_copy", "a gallery into another store"),
    "gallery re-embed": Verb("gallery_re_embed", "move a gallery to another model"),
    "gallery accelerate": Verb("gallery_accelerate", "an index beside a gallery, for quicker searches that may miss a result"),
    "serve": Verb("serve", "a page to find people in a gallery: search, confirm, reject, name, erase; the same as JSON"),
    "index": Verb("index", "films and crops of people into a gallery: find, follow, cut out, embed, add"),
    "report": Verb("report", "one page about runs: numbers, curves, pictures, mistakes, advice, how to make it again"),
    "plot ranking": Verb("plot_ranking", "best, median and worst queries with what was found for them"),
    "street list": Verb("street_list", "towns of rendered people, the cameras of one, the people of a rendered folder"),
    "street render": Verb("street_render", "render people of a town, or the Street-v1 benchmark, as a data set"),
    "street video": Verb("street_video", "film a town's cameras, with MOT ground truth"),
    "plot curves": Verb("plot_curves", "training curves of one or several runs"),
    "plot domains": Verb("plot_domains", "embeddings of several data sets: t-SNE, or densities of distances"),
    "plot gates": Verb("plot_gates", "gates between batch and instance norm over a MetaBIN run"),
    "plot retrieval": Verb("plot_retrieval", "CMC or ROC curves of one or several runs"),
    "plot cameras": Verb("plot_cameras", "Rank-1 and mAP from camera to camera, and which pair is hardest"),
    "plot heatmap": Verb("plot_heatmap", "where a network looks, or what makes two crops alike for it"),
    "plot augmentation": Verb("plot_augmentation", "what training does to pictures: erasing, mirroring, shifting, colours"),
    "plot batches": Verb("plot_batches", "how many images of each camera and how many people stand in a batch"),
    "plot turntable": Verb("plot_turntable", "a cloud of coloured points from all sides, still or turning"),
    "plot data": Verb("plot_data", "a data set on one sheet: people across cameras, counts"),
}


def _overview(prefix: str = "") -> str:
    rows = {name: verb for name, verb in VERBS.items() if name.startswith(prefix)}
    width = max(map(len, rows))
    lines = [f"  {name:<{width}}  {verb.summary}" for name, verb in rows.items()]
    return "\n".join(
        [
            "passerby finds the same person across cameras.",
            "",
            "usage: passerby VERB [options]     passerby VERB --help",
            "",
            *lines,
            "",
            "Everywhere: --json FILE writes what was found, --debug shows the traceback of an error.",
            "Data sets are looked for in --data DIR, else in the folder that PASSERBY_DATA names.",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 141 nobody reads any more."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [word for word in given if word != "--debug"]
    try:
        status = _dispatch(given)
        sys.stdout.flush()  # here, where a pipe that was closed early (`| head`) can still be told from a failure
        return status
    except PasserbyError as error:
        print(f"passerby: {error}", file=sys.stderr)
        if debug:
            traceback.print_exc()
        return error.exit_code
    except KeyboardInterrupt:
        if debug:
            traceback.print_exc()
        print("passerby: interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except OSError as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            return 141  # as a program that SIGPIPE ends
        print(f"passerby: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return 1


def _nobody_reads() -> bool:
    """Whether it is standard output that was closed, and not a pipe to a process of ours; the rest of the output goes nowhere."""
    try:
        print(flush=True)  # an empty line: a flush alone has nothing left to fail with
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return True
    return False


def _dispatch(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if given[0] == "--version":
        from importlib.metadata import version

        print(version("passerby"))
        return 0
    for words in (2, 1):
        name = " ".join(given[:words])
        if name in VERBS:
            return _run(name, given[words:])
    group = given[0] + " "
    if any(name.startswith(group) for name in VERBS):
        if len(given) == 1 or given[1] in ("-h", "--help"):
            print(_overview(group))
            return 0
        allowed = [name for name in VERBS if name.startswith(group)]
        print(f'passerby: no verb "{" ".join(given[:2])}". {nearest(" ".join(given[:2]), allowed)}', file=sys.stderr)
        return 2
    print(f'passerby: no verb "{given[0]}". {nearest(given[0], VERBS)}', file=sys.stderr)
    return 2


def _run(name: str, rest: list[str]) -> int:
    from passerby.cli.parsing import check_report, parse

    module = importlib.import_module(f"passerby.cli.{VERBS[name].module}")
    if hasattr(module, "main"):  # a verb whose flags depend on its words
        return module.main(rest)
    try:
        options = parse(module.Options, f"passerby {name}", rest)
    except SystemExit:  # the help was asked for and is printed
        return 0
    check_report(getattr(options, "json", None))
    module.run(options)
    return 0
