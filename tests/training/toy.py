"""A small run with everything that a resume must bring back; also started as a process of its own, which the tests kill."""

import random

import numpy as np
import torch
from torch import nn

from passerby.batches import Batch
from passerby.training import (
    Clock,
    LossWarmUp,
    LrSchedule,
    MovingAverage,
    Precision,
    Saving,
    Step,
    WarmUp,
    WeightAverage,
    check_ownership,
    fit,
    make_optimizer,
    parameter_groups,
    refresh_norms,
)

IDS, STEPS, EPOCHS = 5, 8, 5
SAVING = Saving(every_epochs=2, every_steps=3, best="mAP")


class Loader:
    """Batches that depend on (epoch, position) only."""

    def __init__(self, steps=STEPS, poisoned=None):
        self.steps, self.poisoned = steps, poisoned

    def __len__(self):
        return self.steps

    def epoch(self, number, start=0):
        for position in range(start, self.steps):
            generator = torch.Generator().manual_seed(1000 * number + position)
            inputs = torch.randint(0, 256, (8, 3, 8, 4), generator=generator, dtype=torch.uint8)
            labels = torch.randint(0, IDS, (8,), generator=generator)
            zeros = torch.zeros(8, dtype=torch.int64)
            indices = torch.arange(8) + 8 * position
            if (number, position) == self.poisoned:
                yield Batch(torch.full((8, 3, 8, 4), float("nan")), labels, zeros, zeros, indices)
            else:
                yield Batch(inputs, labels, zeros, zeros, indices)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, IDS))

    def forward(self, inputs):
        return self.head(self.backbone(inputs.float() / 255))


class Queue:
    """A memory that keeps random rows: state of a recipe's own."""

    def __init__(self):
        self.rows = torch.zeros(4)

    def state_dict(self):
        return {"rows": self.rows}

    def load_state_dict(self, state):
        self.rows = state["rows"].clone()


class Run:
    """Model, optimizers and step of one toy run."""

    def __init__(self, seed=0, optimizer="sgd", precision="fp16"):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        self.model, self.queue, self.clock = Net(), Queue(), Clock()
        self.optimizer = make_optimizer(optimizer, parameter_groups(self.model, 0.05))
        check_ownership({"model": self.model}, {"main": self.optimizer})
        self.rates = LrSchedule(self.optimizer, WarmUp(1.5, then=Step(2)))
        self.precision, self.moving, self.average = (
            Precision(precision),
            MovingAverage(self.model, 0.9),
            WeightAverage(self.model, 0.5),
        )
        self.loss_factor = LossWarmUp(STEPS)
        self.seen, self.evaluated, self.tell = [], [], lambda step: None
        self.state = {
            "model": self.model, "optimizer": self.optimizer, "precision": self.precision, "moving": self.moving,
            "average": self.average, "queue": self.queue,
        }  # fmt: skip

    def step(self, batch):
        self.tell(self.clock.step)
        noise = 1 + 0.01 * (random.random() + float(np.random.rand()) + float(torch.rand(())))
        with self.precision.forward():
            logits = self.model(batch.inputs.float() * noise)
        loss = nn.functional.cross_entropy(logits.float(), batch.labels) * self.loss_factor(self.clock.step)
        self.precision.update(loss, self.optimizer)
        self.moving.update(self.model)
        self.queue.rows = torch.cat([self.queue.rows[1:], loss.detach()[None]])
        self.seen.append(self.clock.step)
        return {"loss": loss, "noise": noise}

    def after_epoch(self, epoch):
        if self.average.after_epoch(self.model, epoch, EPOCHS):
            refresh_norms(self.average.model, Loader().epoch(epoch), lambda model, batch: model(batch.inputs))

    def evaluate(self, max_batches=None):
        self.model.eval()
        self.evaluated.append(max_batches)
        with torch.no_grad():
            value = self.model(torch.ones(1, 3, 8, 4) * (1 + random.random())).softmax(1).max()
        return {"mAP": float(value)}

    def fit(self, run_dir, **options):
        given = {
            "epochs": EPOCHS, "run_dir": run_dir, "state": self.state, "schedules": [self.rates], "clock": self.clock,
            "evaluate": self.evaluate, "evaluate_every": 2, "after_epoch": self.after_epoch, "saving": SAVING, "log_every": 1,
            "tensorboard": False, "quiet": True, "config": {"lr": 0.05, "net": {"ids": IDS}, "workers": 2},
            "free_keys": ("workers",),
        }  # fmt: skip
        return fit(self.step, options.pop("loader", Loader()), **(given | options))


if __name__ == "toy process":  # started by a test through runpy, with the two names below given
    torch.set_num_threads(1)
    run = Run()
    run.tell = TELL.send  # noqa: F821
    run.fit(RUN_DIR, resume=True)  # noqa: F821
