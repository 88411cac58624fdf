"""Passages that answer: whether a search of long documents cites the part that answers, not only the right document.

The documents are modules of installed packages, without any of their docstrings; a question is the first sentence of
one function's docstring, which its author wrote and which stands nowhere in the documents any more; the passage that
answers is that function. Modules are cut by the declared chunking, vectors are those of the packaged encoder as it is.
``passage_recall@5``: one of the first five hits cites a passage at least half of which (or of the function) is shared.

    python benchmarks/answer_passages.py --json passages.json

A project and a home of its own are made in a temporary folder and removed. Pieces of it run as a user would: a
declaration with qrels in JSON lines, materialize, evaluate by every method.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vector_assets.commands.evaluating import evaluated_json
from vector_assets.runtime.postgres import remove_postgres
from vector_assets.source.distributions import find_installed

DISTRIBUTIONS = ("mlflow", "dagster", "pandas", "scikit-learn")
DECLARED = """type: vector_assets.CollectionComponent
attributes:
  name: modules
  source: {{kind: file, path: modules.jsonl}}
  fields: {{text: text}}
  spaces:
    code: {{fields: [text], encoder: minilm, max_tokens: {tokens}, chunk: {{by: {chunk}}}}}
  lexical: [text]
  index: {{type: exact}}
  evaluation: {{queries: queries.jsonl, qrels: qrels.jsonl}}
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A function's question, and where its code stands in its module."""

    question: str
    start: int
    stop: int


def without_docstrings(source: str) -> str:
    """Put ``...`` in the place of every docstring, so that what is left is still Python."""
    lines = [line + "\n" for line in source.split("\n")]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if ast.get_docstring(node) is not None and first is not None:
                begin, end = first.lineno - 1, first.end_lineno or first.lineno
                indent = lines[begin][: len(lines[begin]) - len(lines[begin].lstrip())]
                lines[begin:end] = [f"{indent}...\n", *[""] * (end - begin - 1)]
    return "".join(lines)


def asked_of(source: str, text: str) -> Iterator[Asked]:
    """Yield what the docstrings of functions ask, and the functions in the text without them: both have one order."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    for told, bare in zip(_functions(ast.parse(source)), _functions(ast.parse(text)), strict=True):
        question = (ast.get_docstring(told) or "").split("\n\n")[0].replace("\n", " ").split(". ")[0].strip()
        long_enough = len(bare.body) > 1 and (bare.end_lineno or 0) - bare.lineno >= 3
        if long_enough and len(question.split()) >= 5 and question.isascii():
            first = min([bare.lineno, *(each.lineno for each in bare.decorator_list)])
            yield Asked(question, starts[first - 1], starts[bare.end_lineno or first] - 1)


def _functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def draw(modules: int, questions: int) -> tuple[dict[str, str], list[tuple[str, Asked]]]:
    """Return modules by name, drawn by their hash, and at most three questions of each; no question stands twice."""
    files = [
        (f"{each.name}:{file.module}", Path(file.path))
        for each in find_installed(DISTRIBUTIONS)
        for file in each.modules()
        if not file.is_test
    ]
    texts: dict[str, str] = {}
    asked: list[tuple[str, Asked]] = []
    seen: set[str] = set()
    for name, path in sorted(files, key=lambda one: hashlib.sha256(one[0].encode()).digest()):
        if len(texts) == modules:
            break
        try:
            source = path.read_text(encoding="utf-8")
            text = without_docstrings(source).strip()
            found = list(asked_of(source, text))
        except (SyntaxError, ValueError):
            continue
        if not (2_000 <= len(text) <= 40_000) or not found:
            continue
        texts[name] = text
        found = [one for one in found if one.question not in seen]
        seen |= {one.question for one in found}
        asked += [(name, one) for one in sorted(found, key=lambda o: hashlib.sha256(o.question.encode()).digest())[:3]]
    asked.sort(key=lambda one: hashlib.sha256(one[1].question.encode()).digest())
    return texts, asked[:questions]


def write_project(
    folder: Path, texts: dict[str, str], asked: list[tuple[str, Asked]], *, chunk: str, tokens: int
) -> None:
    """Write rows, questions, judgements and the declaration."""
    folder.mkdir(parents=True)
    rows = [{"id": name, "text": text} for name, text in texts.items()]
    queries = [{"_id": f"q{n}", "text": one.question} for n, (_, one) in enumerate(asked)]
    qrels = [
        {"query-id": f"q{n}", "corpus-id": name, "score": 1, "start": one.start, "stop": one.stop}
        for n, (name, one) in enumerate(asked)
    ]
    for file, lines in (("modules", rows), ("queries", queries), ("qrels", qrels)):
        (folder / f"{file}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "defs.yaml").write_text(DECLARED.format(chunk=chunk, tokens=tokens))


def main() -> None:
    """Build, materialize, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", type=int, default=300)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--chunk", default="code, language: python")
    parser.add_argument("--tokens", type=int, default=128, help="what the encoder reads of a chunk")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        home = Path(work) / "home"
        os.environ |= {"VECTOR_ASSETS_HOME": str(home), "HF_HUB_OFFLINE": "1"}
        texts, asked = draw(args.modules, args.questions)
        write_project(Path(work) / "defs" / "modules", texts, asked, chunk=args.chunk, tokens=args.tokens)
        size = sum(map(len, texts.values())) / len(texts)
        print(f"{len(texts)} modules of {size:,.0f} characters on average, {len(asked)} questions", flush=True)
        from vector_assets.api import connect

        client = connect(work).collection("modules")
        try:
            if not client.materialize().success and client.status().decision == "keep":
                print(f"kept out: {client.status().reason}")
                client.promote(because="to measure it")
            found = client.evaluate(methods=["vector", "bm25", "hybrid"])
            for method, each in found.passages.items():
                interval = f"[{each.low:.3f}, {each.high:.3f}]"
                print(f"{method}: passage_recall@5 {each.recall:.3f} {interval}, the row {each.rows:.3f}")
            record = evaluated_json(found) | {"modules": len(texts), "decision": client.status().reason}
            print(json.dumps({name: record["methods"][name]["ndcg@10"] for name in record["methods"]}))
            if args.json:
                args.json.write_text(json.dumps(record, indent=1) + "\n")
        finally:
            remove_postgres(home)


if __name__ == "__main__":
    main()
