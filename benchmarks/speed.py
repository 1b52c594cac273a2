"""How fast sweeps and training are, against what a user would write and against the arithmetic: `make bench`.

Everybody starts from the same random model and the same pairs. They run in turn, in changing order, and are compared
within a repeat. Tables hold medians over repeats, with the smallest and the largest ratio. Losses are compared first.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from clock import interleaved, peak_megabytes, report, seconds
from floor import Rates, Shape, Work, step_work, sweep_work
from memory import TOOLS, megabytes
from ours import Mechsteer, as_text
from plain import HuggingFace
from tables import head, line, spread
from torch import Tensor
from workloads import N_TRAINING_PAIRS, WORKLOADS, Workload

TOLERANCE = 1e-3
"""Nats by which two losses may differ in float32."""


@dataclass(frozen=True)
class Result:
    """What a table's row is made from: seconds of each tool by repeat, the machine's rates, memory above the weights."""

    what: str
    seconds: dict[str, list[float]]
    work: Work
    rates: list[Rates]
    megabytes: dict[str, float] = field(default_factory=dict)

    @property
    def floor(self) -> list[float]:
        return [rates.seconds(self.work) for rates in self.rates]

    def ratios(self, tool: str) -> list[float]:
        """How many times as long as mechsteer `tool` takes, by repeat."""
        return [theirs / ours for theirs, ours in zip(self.seconds[tool], self.seconds["mechsteer"], strict=True)]

    def over_the_floor(self) -> list[float]:
        return [ours / floor for ours, floor in zip(self.seconds["mechsteer"], self.floor, strict=True)]

    def row(self) -> str:
        """A row of the table, in Markdown."""
        times = [statistics.median(self.seconds[tool]) for tool in TOOLS] + [statistics.median(self.floor)]
        ratios = [self.ratios("plain"), self.ratios("careful"), self.over_the_floor()]
        memory = [f"{self.megabytes[tool]:,.0f}" if tool in self.megabytes else "" for tool in TOOLS]
        return line(self.what, *(f"{time:.3g} s" for time in times), *(spread(values) for values in ratios), *memory)


HEAD = (
    "", *TOOLS, "floor", "plain / mechsteer", "careful / mechsteer", "mechsteer / floor", *(f"MB, {t}" for t in TOOLS)
)  # fmt: skip


@dataclass(frozen=True)
class Mark:
    """What a row should reach on two CPU cores in float32: ratios at least, floor and megabytes at most."""

    plain: float
    careful: float | None = None
    floor: float | None = None
    megabytes: float | None = None

    def rows(self, result: Result) -> Iterator[str]:
        """Each part of the mark, what was asked and what was reached, in Markdown."""
        parts = [("plain / mechsteer", ">=", self.plain, statistics.median(result.ratios("plain")))]
        if self.careful is not None:
            parts.append(("careful / mechsteer", ">=", self.careful, statistics.median(result.ratios("careful"))))
        if self.floor is not None:
            parts.append(("mechsteer / floor", "<=", self.floor, statistics.median(result.over_the_floor())))
        if self.megabytes is not None and result.megabytes:
            parts.append(("MB above the weights", "<=", self.megabytes, result.megabytes["mechsteer"]))
        for name, sign, asked, reached in parts:
            met = reached >= asked if sign == ">=" else reached <= asked
            yield line(f"{result.what}: {name}", f"{sign} {asked:g}", f"{reached:.3g}", "yes" if met else "no")


MARKS = {
    "W1, sweep": Mark(6, 1.8, 1.5, 150),
    "W2, sweep": Mark(10, 1.5, 1.6, 120),
    "W3, sweep": Mark(9, 2.3, 4, 80),
    "W1, sweep of completions only": Mark(8.5),
    "W2, sweep of completions only": Mark(12),
    "W3, sweep of completions only": Mark(12),
    "W1, training step": Mark(5, megabytes=500),
    "W2, training step": Mark(9),
    "W3, training step": Mark(6),
    "W5, sweep": Mark(1, floor=1.25, megabytes=150),
    "W6, sweep": Mark(1, floor=1.25, megabytes=150),
    "W7, training step on W5's shape": Mark(1, floor=1.25, megabytes=150),
    "W7, training step on W6's shape": Mark(1, floor=1.25, megabytes=150),
}
DEFAULT = ["W1", "W2", "W3", "W5", "W6"]
MOST_FOR_A_WEIGHT = 1.1
"""How many times what a vector costs per multiplier a local weight may cost."""


def training_step(workload: str) -> str:
    """What its row is called: on the shapes of real models it is a workload of its own."""
    return f"W7, training step on {workload}'s shape" if workload in ("W5", "W6") else f"{workload}, training step"


@dataclass(frozen=True, eq=False)
class Bench:
    """A workload and those who run it; mechsteer has a copy of the model, because it wraps a model in place."""

    workload: Workload
    plain: HuggingFace
    mechsteer: Mechsteer
    device: str
    dtype: str
    repeats: int

    @classmethod
    def open(cls, workload: Workload, device: str, dtype: str, repeats: int) -> "Bench":
        number_type, pairs = getattr(torch, dtype), workload.pairs()
        plain = HuggingFace(workload.build(device, number_type), pairs, workload.layer)
        mechsteer = Mechsteer.open(workload.build(device, number_type), pairs, workload.layer)
        return cls(workload, plain, mechsteer, device, dtype, repeats)

    @property
    def careful(self) -> HuggingFace:
        return replace(self.plain, careful=True)

    @property
    def shape(self) -> Shape:
        return Shape.of(self.workload.config())

    def with_pairs(self, n_pairs: int) -> "Bench":
        """The same with the first `n_pairs` pairs."""
        pairs = self.plain.pairs[:n_pairs]
        return replace(
            self, plain=replace(self.plain, pairs=pairs), mechsteer=replace(self.mechsteer, pairs=as_text(pairs))
        )

    def sweep(self, positions: str) -> Result:
        """A sweep over the whole grid. The users run as many multipliers as take two seconds: each is a pass of its own."""
        grid, steer = self.workload.multipliers, self.workload.steer()
        small = self.with_pairs(4)
        judged = small.plain.sweep(steer, grid, positions)
        self.agree("careful", small.careful.sweep(steer, grid, positions), judged)
        self.agree("mechsteer", small.mechsteer.sweep(steer, grid, positions), judged)
        n_timed = self.affordable(lambda: self.plain.sweep(steer, grid[:1], positions), 2.0, len(grid))
        losses: dict[str, Tensor] = {}

        def run(tool: str, multipliers: list[float]) -> float:
            def work() -> None:
                losses[tool] = getattr(self, tool).sweep(steer, multipliers, positions)

            return len(grid) / len(multipliers) * seconds(work, self.device)

        result = self.race(
            f"{self.workload.name}, sweep" + (" of completions only" if positions == "completion" else ""),
            sweep_work(self.shape, self.plain.pairs, self.workload.layer, len(grid), positions),
            {tool: lambda tool=tool: run(tool, grid if tool == "mechsteer" else grid[:n_timed]) for tool in TOOLS},
        )
        for tool in TOOLS[1:]:
            self.agree(tool, losses[tool][:n_timed], losses["plain"])
        return result

    def train(self) -> Result:
        """A step on all pairs. Mechsteer's is the time of six steps more, so that what is done once does not count."""
        steer, rate = self.workload.steer(), self.workload.learning_rate
        small = self.with_pairs(4)
        draws = small.mechsteer.draws(3)
        judged = torch.tensor(small.plain.train(steer, draws, rate, n_steps=3))
        self.agree("careful", torch.tensor(small.careful.train(steer, draws, rate, n_steps=3)), judged)
        self.agree("mechsteer", torch.tensor(small.mechsteer.train(steer, rate, n_steps=3)), judged)
        draws = self.mechsteer.draws(10)
        n_timed = self.affordable(lambda: self.plain.train(steer, draws[:1], rate, n_steps=1), 2.0, len(draws))

        def user(tool: HuggingFace) -> float:
            return seconds(lambda: tool.train(steer, draws[:n_timed], rate, n_timed), self.device) / n_timed

        def ours(n_steps: int) -> float:
            return seconds(lambda: self.mechsteer.train(steer, rate, n_steps), self.device)

        return self.race(
            training_step(self.workload.name),
            step_work(self.shape, self.plain.pairs, self.workload.layer),
            {
                "plain": lambda: user(self.plain),
                "careful": lambda: user(self.careful),
                "mechsteer": lambda: (ours(8) - ours(2)) / 6,
            },
        )

    def affordable(self, work: Callable[[], object], budget: float, most: int) -> int:
        """How often `work` fits into `budget` seconds, once at least."""
        return max(1, min(most, round(budget / seconds(work, self.device))))

    def forms(self) -> dict[str, list[float]]:
        """Seconds for each further multiplier, by form and repeat: mechsteer on eight pairs, sixteen multipliers more.

        At two sites, the second is half way from the first to the last layer.
        """
        small, grid = self.with_pairs(8), self.workload.multipliers
        site = small.mechsteer.site
        later = replace(site, layer=(site.layer + small.mechsteer.model.n_layers) // 2)
        at_two = replace(small.mechsteer, more=(later,))

        def each(form: str, ours: Mechsteer = small.mechsteer) -> float:
            steer = self.workload.steer(form)
            many, one = (seconds(lambda m=m: ours.sweep(steer, m), self.device) for m in (grid, grid[:1]))
            return (many - one) / (len(grid) - 1)

        forms = ("vector", "lora", "local_weight")
        for form in forms:
            steer = self.workload.steer(form)
            self.agree(form, small.mechsteer.sweep(steer, grid)[:1], small.plain.sweep(steer, grid[:1]))
        work = {form: lambda form=form: each(form) for form in forms}
        work |= {f"{form}, two sites": lambda form=form: each(form, at_two) for form in ("vector", "local_weight")}
        return interleaved(work, self.repeats)

    def vary(self, setting: str, values: Sequence[int]) -> None:
        """Print time and memory of mechsteer's sweep by one of `run_sweep`'s settings."""
        grid, steer = self.workload.multipliers, self.workload.steer()

        def sweep(value: int) -> Tensor:
            chosen: dict[str, Any] = {setting: value}
            return self.mechsteer.sweep(steer, grid, **chosen)

        times = interleaved(
            {str(value): lambda value=value: seconds(lambda: sweep(value), self.device) for value in values},
            self.repeats,
        )
        print(head(f"{self.workload.name}, {setting}", "seconds", "MB above the weights"))
        for value in values:
            memory = peak_megabytes(lambda value=value: sweep(value), self.device)
            print(line(str(value), spread(times[str(value)]), f"{memory:,.0f}"), flush=True)

    def race(self, what: str, work: Work, runners: dict[str, Callable[[], float]]) -> Result:
        """Everybody in turn, with the machine's rate measured in every repeat."""
        rates = []

        def floor() -> float:
            rates.append(Rates.measure(self.shape, self.device, getattr(torch, self.dtype)))
            return rates[-1].seconds(work)

        found = interleaved({**runners, "floor": floor}, self.repeats)
        return Result(what, {tool: found[tool] for tool in TOOLS}, work, rates)

    def agree(self, who: str, losses: Tensor, judged: Tensor) -> None:
        """Compare with the plain user's losses; where they differ in float32, there is nothing to time."""
        largest = float((losses.double() - judged.double()).abs().max())
        report(f"{self.workload.name}: {who} differs from plain by at most {largest:.1e} nats")
        if self.dtype == "float32" and not largest < TOLERANCE:
            raise SystemExit(f"{who} gives other losses than plain Hugging Face, so a ratio of times means nothing.")


def time_study() -> dict[str, float]:
    """Seconds of the default study, by stage."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "mechsteer", "study", "--out", folder], check=True, stdout=sys.stderr)
        return json.loads((Path(folder) / "study.json").read_text(encoding="utf-8"))["seconds"]


def main(
    workload: Annotated[list[str], typer.Option(help=f"Any of {', '.join(WORKLOADS)}.")] = DEFAULT,
    repeats: int = 3,
    device: str = "cpu",
    dtype: str = "float32",
    threads: Annotated[
        int | None, typer.Option(help="PyTorch's threads for everybody, instead of the workload's.")
    ] = None,
    vary: Annotated[str, typer.Option(help="A setting of run_sweep to try, such as batch_tokens=512,1024.")] = "",
    memory: Annotated[bool, typer.Option(help="Measure memory, each tool in a process of its own.")] = True,
    forms: Annotated[bool, typer.Option(help="Compare what a multiplier costs by form, on W1.")] = True,
    study: Annotated[bool, typer.Option(help="Time the default study (W4), by stage.")] = True,
) -> None:
    """Print the tables of Speed in benchmarks/README.md."""
    n_threads = torch.get_num_threads()
    results: list[Result] = []
    by_form: dict[str, list[float]] = {}
    print(f"torch {torch.__version__}, {device}, {dtype}, median of {repeats} repeats")
    print(head(*HEAD), flush=True)
    for chosen in (WORKLOADS[name] for name in workload):
        torch.set_num_threads(threads or chosen.threads or n_threads)
        bench = Bench.open(chosen, device, dtype, repeats)
        tasks = {
            "sweep": lambda bench=bench: bench.sweep("all"),
            "completions": lambda bench=bench: bench.sweep("completion"),
            "train": lambda bench=bench: bench.with_pairs(N_TRAINING_PAIRS).train(),
        }
        for task, run in tasks.items():
            result = run()
            if memory and task != "completions":
                used = {tool: megabytes(chosen, tool, task, device, dtype) for tool in TOOLS}
                result = replace(result, megabytes=used)
            results.append(result)
            print(result.row(), flush=True)
        if forms and chosen.name == "W1":
            by_form = bench.forms()
        if vary:
            setting, _, values = vary.partition("=")
            bench.vary(setting, [int(value) for value in values.split(",")])

    print(head("", "GFLOP", "GFLOP/s of blocks", "of the unembedding"))
    for result in results:
        block = statistics.median(rates.block for rates in result.rates)
        unembedding = statistics.median(rates.unembedding for rates in result.rates)
        print(line(result.what, *(f"{value / 1e9:,.0f}" for value in (result.work.total, block, unembedding))))
    if device == "cpu" and dtype == "float32":
        print(head("mark", "asked", "reached", "met"))
        for result in results:
            if result.what in MARKS:
                print(*MARKS[result.what].rows(result), sep="\n")
    if by_form:
        print(head("W1, per multiplier, 8 pairs", "seconds", "form / vector"))
        for form, times in by_form.items():
            ratios = [time / vector for time, vector in zip(times, by_form["vector"], strict=True)]
            print(line(form, f"{statistics.median(times):.3g} s", spread(ratios)))
        if statistics.median(by_form["local_weight"]) > MOST_FOR_A_WEIGHT * statistics.median(by_form["vector"]):
            print("\nA local weight costs more per multiplier than a vector.")
    if study:
        stages = time_study()
        print(head("W4, the default study", *stages, "all"))
        print(line("seconds", *(f"{value:.1f}" for value in (*stages.values(), sum(stages.values())))))


if __name__ == "__main__":
    typer.run(main)
