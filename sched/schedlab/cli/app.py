"""The commands put together, and what happens when one fails.

Input that can't be used ends with one line and exit code 2, an interrupt with 130. Anything else
is a defect and keeps its traceback.
"""

from __future__ import annotations

import os
import signal
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from schedlab.cli import (
    bench,
    catalogue,
    decide,
    export,
    gap,
    pods,
    project,
    results,
    run,
    solve,
    study,
    train,
    validate,
)
from schedlab.cli.console import fail, note, shown_warnings
from schedlab.errors import InputError


class _Commands(TyperGroup):
    """A group of commands that turns errors of users into messages."""

    def invoke(self, ctx: Any) -> Any:
        try:
            with shown_warnings():
                return super().invoke(ctx)
        except InputError as error:
            fail(str(error))
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            note("interrupted")
            raise typer.Exit(128 + signal.SIGINT) from None
        except BrokenPipeError:
            raise
        except OSError as error:
            if error.filename is None:
                raise
            fail(f"{error.filename}: {error.strerror}")
            raise typer.Exit(2) from None


app = typer.Typer(
    name="schedlab",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    epilog="First steps: schedlab run quickstart, then schedlab report results/quickstart",
)


def _version(wanted: bool) -> None:
    if wanted:
        from schedlab.record.provenance import commit, versions

        found = versions()
        about = commit()
        typer.echo(
            f"schedlab {found['schedlab']}" + (f" ({about})" if about else "") + ", "
            f"Python {found['python']}"
        )
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Compare cluster schedulers on a simulated Kubernetes cluster."""


def _add(command: Any, name: str, panel: str, *examples: str) -> None:
    epilog = "[bold]Examples[/]\n\n" + "\n\n".join(f"  schedlab {text}" for text in examples)
    app.command(name, rich_help_panel=panel, epilog=epilog, no_args_is_help=name != "schema")(
        command
    )


_add(
    run.run,
    "run",
    "Experiments",
    "run quickstart --jobs 2",
    "run experiments/openb-replay.yaml --set data=traces/openb --seeds 3",
    "run my.yaml --set workload.target_load.value=1.1 --out results/busy --resume",
)
_add(validate.validate, "validate", "Experiments", "validate my.yaml", "validate manifests/*.yaml")
_add(
    train.train,
    "train",
    "Experiments",
    "train experiments/train-gpu.yaml --data traces/openb --jobs 2",
    "train my.yaml --out results/mine --resume",
)
_add(
    study.study,
    "study",
    "Experiments",
    "study experiments/priority-matters.yaml --seeds 2 --time-limit 1s",
    "study experiments/openb-solvers.yaml --data traces/openb --resume",
)
_add(project.init, "init", "Experiments", "init my-study")
_add(
    results.compare,
    "compare",
    "Results",
    "compare results/quickstart --metric wait_p99",
    "compare results/fgd-atc23 --published analysis_allo_discrete.csv",
)
_add(results.report, "report", "Results", "report results/quickstart")
_add(
    export.export_decisions,
    "export-decisions",
    "Results",
    "export-decisions results/quickstart/scenario=default/scheduler=best-fit/seed=0",
)
_add(
    results.plot,
    "plot",
    "Results",
    "plot results/quickstart --kind utilization",
    "plot results/quickstart --kind heatmap --scheduler best-fit --out nodes.png",
)
_add(
    gap.gap,
    "gap",
    "Results",
    "gap results/quickstart",
    "gap results/quickstart --moments 50 --out gaps.csv",
)
_add(pods.trace, "trace", "Results", "trace results/quickstart --pod batch-0007")
_add(pods.why, "why", "Results", "why results/quickstart --pod batch-0007 --scheduler best-fit")
_add(
    decide.decide,
    "decide",
    "Scenarios",
    "decide cluster.json.gz",
    "decide cluster.json --config scheduler.yaml -o decisions.jsonl",
    "decide cluster.yaml --scheduler best-fit",
)
_add(
    solve.solve,
    "solve",
    "Scenarios",
    "solve cluster.json.gz",
    "solve cluster.json --objective placed,disruption,nodes --time-limit 1m --json answer.json",
    "solve cluster.yaml --displace none --deterministic",
)
_add(decide.explain, "explain", "Scenarios", "explain cluster.json.gz default/web-0")
_add(
    catalogue.show,
    "list",
    "Reference",
    "list schedulers",
    "list metrics",
    "list workloads",
    "list experiments",
)
_add(
    bench.bench,
    "bench",
    "Reference",
    "bench --list",
    "bench SchedulingBasic",
    "bench SchedulingPodAntiAffinity --nodes 1000 --json anti-affinity.json",
    "bench --all --json bench.json",
)
_add(catalogue.schema, "schema", "Reference", "schema experiment", "schema workload > w.json")
_add(project.fetch, "fetch", "Reference", "fetch openb", "fetch openb --dest traces/openb")


def main() -> None:
    """Run the command line."""
    try:
        app()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        raise SystemExit(1) from None
