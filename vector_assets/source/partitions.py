"""Files that are partitioned by time: which files a path with ``{date…}`` names, and which partition each is of."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import fsspec

from vector_assets.errors import SourceError
from vector_assets.source.storage import SourceFile
from vector_assets.spec.source import DATE_PLACEHOLDER, FileSource, PartitionUnit

#: How Dagster spells the keys of hourly, daily and monthly partitions.
KEY_FORMATS: dict[PartitionUnit, str] = {"hour": "%Y-%m-%d-%H:%M", "day": "%Y-%m-%d", "month": "%Y-%m-%d"}
_CODES = {"%Y": r"\d{4}", "%m": r"\d{2}", "%d": r"\d{2}", "%H": r"\d{2}"}
_CODE = re.compile("(%[YmdH])")
_GLOB = re.compile(r"(\*\*|\*|\?|\[[^\]]*\])")


def as_glob(url: str) -> str:
    """Return the path with a wildcard for each part of the time."""
    return DATE_PLACEHOLDER.sub(lambda found: _wild(found[1]), url)


def partition_of(file: SourceFile, url: str, source: FileSource) -> str | None:
    """Return the key of a file's partition, None for one before the first. Raises SourceError where there is no time.

    ``url`` is the path with its placeholder, resolved.
    """
    if source.partition is None:
        return ""
    before, after = _split(url)
    # The path as the file system spells it; the letter keeps it from taking a last slash away.
    before = fsspec.core.url_to_fs(before + "_")[1].removesuffix("_")
    pattern = _as_regex(before) + "(" + _dates(source.date_format) + ")" + _as_regex(after)
    found = re.fullmatch(pattern, file.path)
    try:
        time = datetime.strptime(found[1], source.date_format).replace(tzinfo=UTC) if found else None
    except ValueError:
        time = None
    if time is None:
        raise SourceError(f"{file.name}: its path has no time such as {source.date_format}; expected {source.path}")
    assert source.since is not None, "the declaration says so"
    if time.date() < source.since.replace(day=1) or (source.partition != "month" and time.date() < source.since):
        return None
    return time.strftime(KEY_FORMATS[source.partition])


def _split(url: str) -> tuple[str, str]:
    found = DATE_PLACEHOLDER.search(url)
    assert found is not None, "the declaration says so"
    return url[: found.start()], url[found.end() :]


def _wild(format: str | None) -> str:
    """One wildcard a path segment of the format: ``*`` does not cross a slash."""
    return "/".join("*" for _ in (format or "").split("/"))


def _dates(format: str) -> str:
    return "".join(_CODES.get(part) or re.escape(part) for part in _CODE.split(format))


def _as_regex(glob: str) -> str:
    words = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        words.get(part) or (part.replace("[!", "[^") if part.startswith("[") else re.escape(part))
        for part in _GLOB.split(glob)
    )
