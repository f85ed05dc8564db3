"""`bench` on the sample, with the default bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

from mera_edge.bundle.load import DEFAULT


def test_bench_compares_bundles_and_writes_a_report(cli: Callable, tmp_path: Path) -> None:
    page = tmp_path / "bench.html"
    bundles = ("--bundle", DEFAULT, "--bundle", DEFAULT)
    result = cli("bench", *bundles, "--passes", 1, "--json", "--report", page)
    assert result.code == 0
    for line in result.out.splitlines():
        facts = json.loads(line)
        assert facts["schema"] == "mera-edge/bench/1"
        for name in ("compute_ms", "staleness_ms"):
            assert list(facts[name]) == ["p50", "p95", "p99", "max"]
            assert list(facts[name].values()) == sorted(facts[name].values())
        assert facts["start_up_s"] > 0
        assert facts["rss_mb"] >= facts["pss_mb"] > 50
        assert set(facts["stages"]) >= {"decode", "vad", "log-mel", "asr", "voice", "face", "text"}
    text = page.read_text()
    HTMLParser().feed(text)
    assert "src=" not in text

    files = (tmp_path / "a.json", tmp_path / "b.json")
    for file, line in zip(files, result.out.splitlines(), strict=True):
        file.write_text(line)
    assert "real_time_factor" in cli("bench", "compare", *files).out


def test_soak_reports_resource_growth(cli: Callable) -> None:
    facts = json.loads(cli("bench", "soak", 0.004, "--json").out)
    assert facts["schema"] == "mera-edge/soak/1"
    assert set(facts["growth"]) == {"pss_mb", "rss_mb", "descriptors", "threads", "children"}
    assert facts["growth"]["descriptors"]["grows"] is False
    assert facts["times_real_time"] > 1


def test_providers_are_timed_only_when_they_ran_operators(cli: Callable) -> None:
    result = cli("bench", "providers", "--json")
    roles = [json.loads(line) for line in result.out.splitlines()]
    assert {role["role"] for role in roles} >= {"asr", "voice", "face", "text", "fusion"}
    for role in roles:
        for name, provider in role["providers"].items():
            ran = name in provider.get("operators", {})
            assert ("ms" in provider) == ran
            assert ("refused" in provider) != ran
        assert "ms" in role["providers"][role["fastest"]]


def test_report_and_share_are_mutually_exclusive(cli: Callable) -> None:
    result = cli("bench", "--report", "a.html", "--share", "b.html")
    assert result.code == 2
    assert "mutually exclusive" in result.err
