"""``schedlab bench``: how fast schedulers decide, on the workloads of upstream's benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schedlab.cli.console import fail, note, out

if TYPE_CHECKING:
    from schedlab.experiment.bench import BenchResult, Way
    from schedlab.experiment.bench_specs import Benchmark

_COLUMNS = (
    "workload",
    "nodes",
    "pods",
    "a call",
    "pods/s",
    "p50 / p90 / p99",
    "attempt µs",
    "MiB",
    "upstream",
    "kube-scheduler",
)


def bench(
    name: Annotated[
        str | None,
        typer.Argument(help="A workload, or one of its sizes: SchedulingBasic/500Nodes."),
    ] = None,
    nodes: Annotated[
        int | None,
        typer.Option(min=1, help="Number of nodes; all other numbers grow or shrink with it."),
    ] = None,
    pods: Annotated[int | None, typer.Option(min=1, help="Number of measured pods.")] = None,
    scheduler: Annotated[
        str, typer.Option(help="A built-in scheduler, file.py:Class or package.module:Class.")
    ] = "kube-scheduler",
    batch: Annotated[
        int | None,
        typer.Option(
            min=1, help="Most pods in one call.", show_default="what suits workload and scheduler"
        ),
    ] = None,
    sampled: Annotated[
        bool,
        typer.Option("--sampled", help="kube-scheduler's adaptive share of the nodes, not all."),
    ] = False,
    backoff: Annotated[
        bool,
        typer.Option(
            "--backoff",
            help="Let preemptors back off, so that many are nominated at once; else each is tried "
            "again at once.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the pods' keys and the scheduler's draws.")] = 0,
    json_: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the results there too.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="All workloads, each in a process of its own.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="List workloads and sizes.")] = False,
) -> None:
    """Measure decisions per second: queue, filter, score, choose and assume, without control plane.

    Beside them stand the threshold of upstream's CI (measured with an API server) and what
    kube-scheduler's own decision loop does on one core, each with our multiple of it.
    """
    from schedlab.errors import InputError
    from schedlab.experiment.bench import Way
    from schedlab.experiment.bench_specs import find, workloads

    if list_:
        _list()
        return
    if all_ == (name is not None):
        raise InputError("NAME", found=name, expected="a workload, or --all, or --list")
    if name is not None:
        wanted = [find(name, nodes=nodes, pods=pods)]
    else:
        wanted = [
            find(each, nodes=nodes if workload.node_params() else None, pods=pods)
            for each, workload in workloads().items()
        ]
    results, failed = _run(wanted, Way(scheduler, sampled, batch, backoff, seed), json_, apart=all_)
    _show(results)
    if failed:
        raise typer.Exit(1)


def _run(
    wanted: list[Benchmark], way: Way, file: Path | None, *, apart: bool
) -> tuple[list[BenchResult], dict[str, str]]:
    """Run benchmarks; return results and what failed, and write them as they come."""
    from schedlab.errors import InputError
    from schedlab.experiment.bench import run_benchmark, run_separately, write_results

    results: list[BenchResult] = []
    failed: dict[str, str] = {}
    for benchmark in wanted:
        try:
            found = run_separately(benchmark, way) if apart else run_benchmark(benchmark, way)
            results.append(found)
            note(f"{benchmark.name}/{benchmark.size}: {found.pods_per_s.mean:,.0f} pods/s")
        except InputError as error:
            if not apart:
                raise
            failed[benchmark.name] = str(error)
            fail(f"{benchmark.name}: {error}")
        if file is not None:
            write_results(file, results, failed)
    return results, failed


def _list() -> None:
    from rich.table import Table

    from schedlab.experiment.bench_specs import workloads

    table = Table("workload", "size", "pods", "upstream", "what it is", header_style="bold")
    for name, workload in workloads().items():
        for i, (size, found) in enumerate(workload.sizes.items()):
            table.add_row(
                "" if i else name,
                size,
                f"{found.params['pods']:,}",
                "" if found.threshold is None else f"{found.threshold}/s",
                "" if i else workload.about + (" (schedlab's own)" if workload.own else ""),
            )
    out().print(table)


def _show(results: list[BenchResult]) -> None:
    from rich.box import SIMPLE
    from rich.table import Table

    from schedlab.experiment.bench import ADAPTIVE
    from schedlab.record.provenance import machine, versions

    if not results:
        return
    first, console = results[0], out()
    share = {None: "", ADAPTIVE: ", adaptive share of nodes"}.get(
        first.percentage_of_nodes_to_score, ", all nodes"
    )
    title = f"{first.scheduler}{share}"
    table = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE)
    for number, column in enumerate(_COLUMNS):
        if number:
            table.add_column(column, justify="right", no_wrap=True)
        else:
            table.add_column(column, overflow="fold")
    for result in results:
        table.add_row(*_row(result))
    console.print(table)
    for result in results:
        if result.unschedulable or result.preempted:
            console.print(
                f"- {result.workload}: {result.unschedulable:,} pods not placed, "
                f"{result.preempted:,} evicted, {result.attempts:,} attempts",
                markup=False,
                soft_wrap=True,
            )
    about = machine()
    console.print(
        f"- schedlab {versions()['schedlab']}, Python {versions()['python']}, {about['platform']}, "
        f"{about['processor']}, {about['cores']} cores",
        markup=False,
        soft_wrap=True,
    )


def _row(result: BenchResult) -> tuple[str, ...]:
    rate = result.pods_per_s
    return (
        f"{result.workload}/{result.size}",
        f"{result.nodes:,}",
        f"{result.pods:,}",
        f"{result.batch:,}",
        f"{rate.mean:,.0f}",
        f"{_short(rate.p50)} / {_short(rate.p90)} / {_short(rate.p99)}",
        f"{_short(result.attempt_p50_us)} / {_short(result.attempt_p99_us)}",
        f"{result.peak_memory_bytes / 2**20:,.0f}",
        _beside(result.threshold, result.over_threshold),
        _beside(result.real, result.over_real),
    )


def _short(value: float) -> str:
    """Return three significant digits or so: ``8.31``, ``831``, ``8,310``, ``83.1k``."""
    if value >= 10_000:
        return f"{value / 1000:,.1f}k" if value < 100_000 else f"{value / 1000:,.0f}k"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _beside(figure: int | None, multiple: float | None) -> str:
    if figure is None or multiple is None:
        return ""
    return f"{figure:,} (x {_short(multiple)})"
