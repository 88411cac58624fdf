"""Rows of installed Python code, read from distributions that the test installs, and from real ones."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vector_assets.errors import SourceError
from vector_assets.records import BadRow, KeyColumn, RawRow
from vector_assets.source.distributions import find_installed
from vector_assets.source.open import open_source
from vector_assets.source.parse import ParseTask
from vector_assets.source.workers import parse_all
from vector_assets.spec import Collection

FIELDS = {"name": "text", "summary": "text", "lines": "number"}
Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, version: str = "1.0", **files: str | bytes) -> Path:
        """Install a distribution; keys are module names, values their content."""
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        record = []
        for module, content in files.items():
            file = tmp_path / f"{module.replace('__dot__', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else content
            file.write_bytes(data)
            record.append(f"{file.relative_to(tmp_path)},sha256={hashlib.sha256(data).hexdigest()},{len(data)}")
        (info / "RECORD").write_text("\n".join([*record, "../../bin/tool.py,,", f"{info.name}/RECORD,,"]))
        return tmp_path

    return write


def collection(*distributions: str, fields: dict[str, str] | None = None, **options: object) -> Collection:
    fields = fields or FIELDS
    named: object = "*" if distributions == ("*",) else list(distributions)
    source = {"kind": "python_code", "distributions": named, **options}
    spaces = {"text": {"fields": [next(iter(fields))]}}
    return Collection.model_validate({"name": "code", "source": source, "fields": fields, "spaces": spaces})


def read(declared: Collection) -> list[RawRow | BadRow]:
    return list(open_source(declared).rows())


def test_rows_have_a_key_of_three_parts_and_only_the_declared_fields_in_order(install: Install) -> None:
    install(
        "My.Demo_Dist",
        demo__dot____init__='def top():\n    """At the top. More."""\n    return 1\n',
        demo__dot__inner='class Box:\n    """Holds."""\n\n    def bare(self): ...\n',
    )
    assert open_source(collection("my-demo-dist")).key == (KeyColumn("id", "text"),)
    assert read(collection("MY_demo.dist")) == [
        RawRow(key=("my-demo-dist:demo:top",), values=("top", "At the top.", 3.0)),
        RawRow(key=("my-demo-dist:demo.inner:Box",), values=("Box", "Holds.", 4.0)),
    ]
    every = {name: "category" for name in ("module", "kind", "distribution")} | {"body": "text"}
    undocumented = read(collection("my-demo-dist", fields=every | {"summary": "text"}, documented=False))[-1]
    assert undocumented == RawRow(
        key=("my-demo-dist:demo.inner:Box.bare",), values=("demo.inner", "method", "my-demo-dist", "...", None)
    )


def test_a_file_that_does_not_parse_is_one_bad_row_and_the_rest_goes_on(install: Install) -> None:
    root = install(
        "broken", a_good='def a():\n    "A."\n', b_bad="x = 1\ndef (:\n", c_null=b"x\x00", d_good='def d():\n    "D."\n'
    )
    (root / "d_good.py").rename(root / "gone.py")
    good, bad, null = sorted(read(collection("broken")), key=lambda row: (isinstance(row, BadRow), str(row)))
    assert isinstance(good, RawRow) and good.key == ("broken:a_good:a",)
    assert bad == BadRow(where=f"{root}/b_bad.py:2", error="cannot be parsed: invalid syntax")
    assert isinstance(null, BadRow) and null.error == "cannot be parsed: source code string cannot contain null bytes"


def test_text_that_postgres_cannot_hold_is_replaced(install: Install) -> None:
    install("odd", odd='def f():\n    "Nul \\x00 and half \\ud800 pair."\n')
    (row,) = read(collection("odd"))
    assert isinstance(row, RawRow)
    assert row.values[1] == "Nul \ufffd and half \ufffd pair."


def test_an_unknown_distribution_is_one_line(install: Install) -> None:
    message = "distribution 'no-such-thing' is not installed; expected a name of pip list or \"*\""
    for call in (
        lambda: read(collection("no_such_thing")),
        lambda: open_source(collection("no_such_thing")).fingerprint(),
    ):
        with pytest.raises(SourceError) as caught:
            call()
        assert str(caught.value) == message


def test_per_distribution_keeps_the_smallest_hashes_however_files_are_batched(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        install(name, **{f"{name}_{n}": "".join(f'def f{i}():\n    "Doc."\n' for i in range(20)) for n in range(5)})
    everything = [row.key[0] for row in read(collection("one", "two")) if isinstance(row, RawRow)]
    expected = []
    for name in ("one", "two"):
        mine = [key for key in everything if str(key).startswith(f"{name}:")]
        expected += sorted(sorted(mine, key=lambda key: hashlib.sha256(str(key).encode()).hexdigest())[:7])
    for files in (1, 3, 100):
        monkeypatch.setattr("vector_assets.source.python_code._BATCH_FILES", files)
        assert [
            row.key[0] for row in read(collection("one", "two", per_distribution=7)) if isinstance(row, RawRow)
        ] == expected


def test_the_fingerprint_follows_versions_files_and_options_only(install: Install) -> None:
    root = install("alpha", alpha='def a():\n    "A."\n')
    before = open_source(collection("alpha")).fingerprint()
    assert open_source(collection("Alpha")).fingerprint() == before
    assert open_source(collection("alpha", per_distribution=3)).fingerprint() != before
    assert open_source(collection("alpha", fields={"name": "text"})).fingerprint() != before
    record = next(root.glob("alpha-*/RECORD"))
    record.write_text(record.read_text() + "\nalpha2.py,sha256=x,1")
    assert open_source(collection("alpha")).fingerprint() != before


def test_a_package_hides_a_module_of_its_name(install: Install) -> None:
    install("twice", pkg='def module():\n    "M."\n', pkg__dot____init__='def package():\n    "P."\n')
    assert [row.key for row in read(collection("twice")) if isinstance(row, RawRow)] == [("twice:pkg:package",)]


def test_processes_and_no_processes_give_the_same_results() -> None:
    tasks = [
        ParseTask(installed.name, (file,), ("name", "body"), False, None)
        for installed in find_installed(["pluggy", "packaging"])
        for file in installed.modules()
    ]
    alone = list(parse_all(tasks, 1))
    assert list(parse_all(tasks, 2)) == alone
    assert sum(len(parsed.rows) for parsed in alone) > 100


def test_stopping_half_way_ends_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vector_assets.source.python_code._WORTH_PROCESSES", 0)
    monkeypatch.setattr("vector_assets.source.python_code.usable_cores", lambda: 2)
    rows = open_source(collection("pytest")).rows()
    next(rows)
    rows.close()  # type: ignore[attr-defined]
    children = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "args="], capture_output=True, text=True)
    assert "vector_assets.source.parse" not in children.stdout


def test_nothing_is_imported(install: Install) -> None:
    install("bomb", bomb='raise SystemExit("imported")\ndef f():\n    "F."\n')
    assert [row.key for row in read(collection("bomb")) if isinstance(row, RawRow)] == [("bomb:bomb:f",)]
    assert "bomb" not in sys.modules


def test_the_fingerprint_of_everything_installed_is_quick() -> None:
    reader = open_source(collection("*"))
    reader.fingerprint()
    start = time.perf_counter()
    assert len(reader.fingerprint()) == 64
    assert time.perf_counter() - start < 3  # .1 to .4 s on a quiet machine for 200 distributions
