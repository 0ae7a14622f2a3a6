"""Building: files, names, evidence, PDF."""

from __future__ import annotations

import gzip
import os
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pikepdf
import pytest

from health_report import evidence, gather, page, pdf, report
from tests.health_report import synthetic


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "results", synthetic.answers)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, report.Built]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "results", synthetic.answers)
        folder = tmp_path_factory.mktemp("reports")
        yield {
            lang: report.build(synthetic.request(folder, language=lang, step=300.0)) for lang in ("zh", "en")
        }


def test_files_have_speaking_names_and_nothing_is_left_over(built: dict[str, report.Built]) -> None:
    folder = built["zh"].evidence.parent
    assert [path.name for path in built["zh"].paths] == ["acme-2026-10-zh.html", "acme-2026-10-zh.pdf"]
    assert built["zh"].missing == ()
    assert not list(folder.glob(".*"))
    assert len(list(folder.iterdir())) == 6


def test_the_page_needs_nothing_else(built: dict[str, report.Built]) -> None:
    text = built["en"].paths[0].read_text("utf-8")
    for word in ("<script", "<link", "@import", "url(http", " src=", "srcset"):
        assert word not in text
    assert built["en"].revision in text


@pytest.mark.parametrize(
    ("language", "tag", "sentence"),
    [
        ("zh", "zh-CN", "本月至少有一项承诺未达成"),
        ("en", "en-GB", "At least one promise was broken this month"),
    ],
)
def test_the_pdf_is_tagged_titled_and_readable(
    built: dict[str, report.Built], language: str, tag: str, sentence: str
) -> None:
    file = built[language].paths[1]
    with pikepdf.open(file) as document:
        root = document.Root
        assert str(root.Lang) == tag
        assert bool(root.MarkInfo.Marked)
        assert "/StructTreeRoot" in root
        assert "安可科技" in str(document.docinfo["/Title"])
        with document.open_outline() as outline:
            names = [entry.title for entry in outline.root]
            assert len(names) >= 7
        with document.open_metadata() as metadata:
            assert metadata["pdfuaid:part"] == "1"
        figures = [
            one
            for one in document.objects
            if isinstance(one, pikepdf.Dictionary) and one.get("/S") == "/Figure"
        ]
        assert len(figures) >= 6
        assert all(str(one.get("/Alt", "")) for one in figures)
        fonts = {
            str(o.get("/FontName"))
            for o in document.objects
            if isinstance(o, pikepdf.Dictionary) and o.get("/Type") == "/FontDescriptor"
        }
        assert fonts
    read = subprocess.run(
        ["pdftotext", "-layout", str(file), "-"], capture_output=True, text=True, check=True
    ).stdout
    assert sentence in read
    assert "支付网关超时" in read


def test_the_child_refuses_every_address(tmp_path: Path) -> None:
    secret = tmp_path / "secret.svg"
    secret.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text>TOPSECRET</text></svg>'
    )
    style = tmp_path / "style.css"
    style.write_text('body::after { content: "STYLED" }')
    text = f"""<!DOCTYPE html><html lang="en"><head><title>t</title>
      <link rel="stylesheet" href="file://{style}"><link rel=attachment href="file:///etc/hostname">
      <style>@import url("file://{style}"); body {{ background: url(http://169.254.169.254/) }}</style></head>
      <body><p>plain</p><img alt="x" src="file://{secret}"><img alt="y" src="http://127.0.0.1:1/x.png">
      <object data="file://{secret}"></object><img alt="z" src="data:image/svg+xml,<svg/>"></body></html>"""
    target = tmp_path / "x.pdf"
    page.pdf(text, target)
    read = subprocess.run(["pdftotext", str(target), "-"], capture_output=True, text=True, check=True).stdout
    assert "plain" in read
    assert "TOPSECRET" not in read
    assert "STYLED" not in read
    with pikepdf.open(target) as document:
        assert len(document.attachments) == 0


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://127.0.0.1/", "https://example.com", "data:text/css,x", "ftp://x"]
)
def test_the_fetcher_refuses(url: str) -> None:
    with pytest.raises(ValueError, match="loads nothing"):
        pdf.refuse(url)


def test_a_page_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(page.PdfError, match="not ready"):
        page.pdf("<p>slow</p>" * 100_000, tmp_path / "x.pdf", seconds=0.5)
    assert list(tmp_path.iterdir()) == []


def test_without_weasyprint_the_page_is_still_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = tmp_path / "absent" / "weasyprint"
    absent.mkdir(parents=True)
    (absent / "__init__.py").write_text("raise OSError('cannot load library libpango-1.0-0')")
    run = subprocess.run

    def shadowed(command: Any, **how: Any) -> Any:
        env = how.pop("env")
        return run(
            command, env=env | {"PYTHONPATH": f"{absent.parent}{os.pathsep}{env['PYTHONPATH']}"}, **how
        )

    monkeypatch.setattr(page.subprocess, "run", shadowed)
    made = report.build(synthetic.request(tmp_path / "out", formats=("pdf",)))
    assert [path.suffix for path in made.paths] == [".html"]
    assert "libpango" in made.missing[-1]
    with pytest.raises(page.PdfUnavailable):
        page.pdf("<p>x", tmp_path / "x.pdf")


def test_the_child_is_given_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_TOKEN", "hush")
    seen: list[dict[str, str]] = []

    def spy(_command: Any, **how: Any) -> Any:
        seen.append(how["env"])
        raise subprocess.TimeoutExpired("x", 1)

    monkeypatch.setattr(page.subprocess, "run", spy)
    with pytest.raises(page.PdfError):
        page.pdf("<p>x", tmp_path / "x.pdf")
    assert "hush" not in str(seen)


@pytest.mark.parametrize(
    "client",
    ["../../x", "/etc/passwd", "..", "", "a\x00b", "安可", "x" * 500, "CON", "a/b", "a-b\n", ".hidden"],
)
def test_hostile_client_names_stay_in_their_folder(tmp_path: Path, client: str) -> None:
    folder = tmp_path / "out"
    made = report.build(synthetic.request(folder, client=client, client_name="", formats=("html",)))
    for path in (*made.paths, made.evidence):
        assert path.resolve().parent == folder.resolve()
        assert not path.name.startswith(".")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_two_clients_never_share_a_file() -> None:
    names = ["a-b", "a/b", "a b", "A-B", "a-b-", "安可", "可安", "acme"]
    assert len({report.slug(name) for name in names}) == len(names)
    assert report.slug("acme") == "acme"


def test_only_the_clients_own_incidents_are_told(tmp_path: Path) -> None:
    def mixed(start: datetime, end: datetime) -> Any:
        own = synthetic.incidents(start, end)
        return [*own, msgspec.structs.replace(own[0], number=99, client="rival", title="RIVAL SECRET")]

    made = report.build(synthetic.request(tmp_path, incidents=mixed, formats=("html",)))
    assert "RIVAL" not in made.paths[0].read_text("utf-8")
    assert b"RIVAL" not in gzip.decompress(made.evidence.read_bytes())


def test_a_half_file_is_never_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    page.publish(target, b"old")

    def killed(_handle: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(page.os, "fsync", killed)
    with pytest.raises(OSError, match="no space"):
        page.publish(target, b"new and half")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_evidence_carries_everything_and_is_the_same_every_time(
    built: dict[str, report.Built], tmp_path: Path
) -> None:
    again = report.build(synthetic.request(tmp_path, language="zh", formats=("html",), step=300.0))
    assert again.revision == built["zh"].revision == built["en"].revision
    assert again.evidence.read_bytes() == built["zh"].evidence.read_bytes()
    assert evidence.verify(again.evidence, again.revision)
    facts = msgspec.json.decode(gzip.decompress(again.evidence.read_bytes()))["facts"]
    assert facts["config_version"] == "b7c1f2"
    assert facts["results"][0]["question"]["promql"].startswith("sum by")
    assert len(facts["incidents"]) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"config_version": "other"},
        {"slo": {"payments": 99.0}},
        {"selector": 'client="x"'},
        {"incidents": lambda *_: []},
    ],
)
def test_other_facts_have_another_hash(
    tmp_path: Path, built: dict[str, report.Built], change: dict[str, Any]
) -> None:
    other = report.build(synthetic.request(tmp_path, formats=("html",), step=300.0, **change))
    assert other.revision != built["zh"].revision


def test_evidence_that_was_touched_is_found(tmp_path: Path) -> None:
    made = report.build(synthetic.request(tmp_path, formats=("html",)))
    data = gzip.decompress(made.evidence.read_bytes())
    made.evidence.write_bytes(
        gzip.compress(data.replace(b"INC", b"inc").replace(b"Orders API", b"Orders APi"))
    )
    assert not evidence.verify(made.evidence, made.revision)


def test_numbers_json_has_no_word_for_are_kept() -> None:
    assert evidence._spelled({"v": (float("nan"), float("inf"), float("-inf"), 1.5)}) == {
        "v": ["NaN", "+Inf", "-Inf", 1.5]
    }


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"month": "2026-1"}, "month"),
        ({"time_zone": "Mars"}, "time zone"),
        ({"language": "xx"}, "texts"),
        ({"formats": ("docx",)}, "docx"),
        ({"settings": {"no": {}}}, "section"),
        ({"settings": {"servers": {"busy": "x"}}}, "busy"),
        ({"promql": {"no": {"x": "up"}}}, "query"),
    ],
)
def test_a_request_that_cannot_be_fulfilled(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        report.build(synthetic.request(tmp_path, **change))
    assert list(tmp_path.iterdir()) == []


def test_prometheus_down_still_makes_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "results", synthetic.failing)
    made = report.build(synthetic.request(tmp_path, language="en", formats=("html",)))
    assert made.light == "red"  # the incidents are known from our own store
    assert any("connection refused" in one for one in made.missing)
    assert "Not in this report" in made.paths[0].read_text("utf-8")
