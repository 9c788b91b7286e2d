from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from schedlab.record.metrics import DEFAULT_METRICS
from schedlab.report.html_report import to_svg, write_report
from schedlab.report.plots import utilization

VOID = {"meta", "br", "img", "link"}


def manifests() -> list[dict]:
    return [
        {
            "scenario": "load=1.1",
            "scheduler": scheduler,
            "seed": seed,
            "end_us": 7_200_000_000,
            "counts": {"arrived": 400},
            "run_id": "0123456789abcdef",
            "digest": "ab" * 32,
            "versions": {"python": "3.11.7", "schedlab": "0.1.0"},
            "commit": None,
            "platform": "Linux-x86_64",
        }
        for scheduler in ("kube-scheduler", "best-fit", "first-fit")
        for seed in range(3)
    ]


def report(path: Path, results: dict, comparison, **more) -> str:
    options = {
        "title": "Which packs <best> & why?",
        "notes": ["Nothing was scarce <here>."],
        "metrics": DEFAULT_METRICS,
        "manifests": manifests(),
    }
    write_report(
        path,
        comparison=comparison,
        pods=results["pods"],
        nodes=results["nodes"],
        **(options | more),
    )
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(results, comparison, tmp_path_factory) -> str:
    return report(tmp_path_factory.mktemp("report") / "report.html", results, comparison)


class Balanced(HTMLParser):
    """Follows opening and closing tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(page: str) -> Balanced:
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_page_is_well_formed_and_complete(page):
    found = parsed(page)
    assert found.seen.count("figure") == 10  # 7 of the sweep and a heat map per scheduler
    assert found.seen.count("svg") == 10
    text = " ".join(found.text)
    assert "cpu allocation, %" in text
    assert "allocation_mean_cpu" in text
    assert "0123456789abcdef" in text
    assert "schedulers kube-scheduler, best-fit, first-fit" in re.sub(r"\s+", " ", text)


def test_page_fetches_nothing_and_runs_nothing(page):
    assert "<script" not in page
    targets = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert all(target.startswith(("#", "data:image/png")) for target in targets)
    urls = set(re.findall(r"https?://[^\s\"']+", page))
    assert urls <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in page
    assert all(found.startswith("#") for found in re.findall(r"url\(([^)]*)", page))


def test_user_text_is_escaped(page):
    assert "<title>Which packs &lt;best&gt; &amp; why?</title>" in page
    assert "Nothing was scarce &lt;here&gt;." in page


def test_plots_follow_light_and_dark(page):
    assert "prefers-color-scheme: dark" in page
    svg = page[page.index("<svg") : page.index("</svg>")]
    assert "currentColor" in svg
    assert "#1f2328" not in svg
    assert "#ffffff" not in svg  # transparent background


def test_ids_on_the_page_are_unique(page):
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert used <= set(ids)


def test_same_results_same_bytes(results, comparison, page, tmp_path):
    assert report(tmp_path / "again.html", results, comparison) == page
    assert [path.name for path in tmp_path.iterdir()] == ["again.html"]


def test_one_scheduler_without_comparison(make_sweep, make_comparison, tmp_path):
    results = make_sweep(("best-fit",), seeds=1, nodes=5, pods=30)
    comparison = make_comparison(results["summary"], "best-fit")
    page = report(tmp_path / "one.html", results, comparison, manifests=[], notes=[])
    found = parsed(page)
    assert found.seen.count("figure") == 7
    assert "Paired differences" not in page


def test_means_without_a_baseline(results, comparison, tmp_path):
    bare = comparison[["metric", "scenario", "scheduler", "mean"]]
    page = report(tmp_path / "bare.html", results, bare)
    assert "cpu allocation" in page
    assert "smallest that could have been seen" not in page
    assert parsed(page).seen.count("figure") == 9  # no forest


def test_empty_results(results, comparison, tmp_path):
    nothing = {name: frame.iloc[:0] for name, frame in results.items()}
    page = report(tmp_path / "empty.html", nothing, comparison.iloc[:0], manifests=[])
    parsed(page)
    assert "No metric has a value." in page


def test_each_scenario_has_a_section(make_sweep, make_comparison, tmp_path):
    parts = [
        make_sweep(("best-fit",), seeds=1, nodes=4, pods=20, scenario=name)
        for name in ("load=0.5", "load=0.9")
    ]
    results = {name: pd.concat([part[name] for part in parts]) for name in parts[0]}
    comparison = make_comparison(results["summary"], "best-fit")
    page = report(tmp_path / "two.html", results, comparison, manifests=[])
    assert re.findall(r"<h2>(load=[^<]*)</h2>", page) == ["load=0.5", "load=0.9"]


def test_svg_is_the_same_for_the_same_drawing(results):
    drawings = [to_svg(utilization(results["samples"]), "a") for _ in range(2)]
    assert drawings[0] == drawings[1]
    assert drawings[0].startswith("<svg")
    assert "<metadata>" not in drawings[0]
