"""Training: one loop for every recipe, and the parts that a step needs.

    fit(step, loader, *, epochs, run_dir, state, schedules=(), clock=None, evaluate=None, evaluate_every=1, before_epoch=None,
        after_epoch=None, saving=Saving(), resume=False, config=None, free_keys=(), names=None, device="cpu", log_every=10,
        tensorboard=True, quiet=False) -> History

A recipe's training function reads like this (one process or many under ``torchrun``):

    with processes(config.device) as here:
        model = build_model(config).to(here.device)
        optimizer = make_optimizer("sgd", parameter_groups(model, lr=0.05))
        check_ownership({"model": model}, {"main": optimizer})
        rates = LrSchedule(optimizer, WarmUp(5, then=Step(40)))
        precision, clock, average = Precision("bf16", here.device), Clock(), WeightAverage(model)
        parallel = distribute(model)

        def step(batch):
            with precision.forward():
                outputs = parallel(normalise(batch.inputs, preprocess))
            loss = cross_entropy(outputs.logits, batch.labels) + circle(gather(outputs.embedding), gather(batch.labels))
            precision.update(loss, optimizer)
            return {"loss": loss}

        def after_epoch(epoch):
            if average.after_epoch(model, epoch, config.epochs):
                refresh_norms(average.model, loader.epoch(epoch), lambda model, batch: model(...))

        fit(step, loader, epochs=60, run_dir=run_dir, schedules=[rates], clock=clock, after_epoch=after_epoch, device=here.device,
            state={"model": model, "optimizer": optimizer, "precision": precision, "average": average},
            evaluate=evaluate, evaluate_every=10, config=asdict(config), free_keys=("workers", "data"), resume=config.resume)
        del parallel
"""

from passerby.training.averaging import MovingAverage, WeightAverage, refresh_norms
from passerby.training.checkpoints import Checkpoints
from passerby.training.contracts import EpochLoader, Evaluate, Saving
from passerby.training.distributed import World, distribute, gather, processes, world
from passerby.training.exemplars import ExemplarMemory
from passerby.training.history import History, load_history
from passerby.training.label_free import LabelFreeProgress
from passerby.training.loop import fit
from passerby.training.memory import keep_freed_memory
from passerby.training.optimizers import OPTIMIZERS, Ownership, check_ownership, make_optimizer, parameter_groups
from passerby.training.precision import PRECISIONS, Precision
from passerby.training.schedules import Clock, Constant, Cosine, LossWarmUp, LrSchedule, MultiStep, Schedule, Step, WarmUp
from passerby.training.sync_norm import SynchronisedBatchNorm, synchronise_norms

__all__ = [
    "OPTIMIZERS",
    "PRECISIONS",
    "Checkpoints",
    "Clock",
    "Constant",
    "Cosine",
    "EpochLoader",
    "Evaluate",
    "ExemplarMemory",
    "History",
    "LabelFreeProgress",
    "LossWarmUp",
    "LrSchedule",
    "MovingAverage",
    "MultiStep",
    "Ownership",
    "Precision",
    "Saving",
    "Schedule",
    "Step",
    "SynchronisedBatchNorm",
    "WarmUp",
    "WeightAverage",
    "World",
    "check_ownership",
    "distribute",
    "fit",
    "gather",
    "keep_freed_memory",
    "load_history",
    "make_optimizer",
    "parameter_groups",
    "processes",
    "refresh_norms",
    "synchronise_norms",
    "world",
]
