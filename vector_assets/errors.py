"""Every error that vector_assets raises on purpose.

    VectorAssetsError
    ├── UserError            the person can mend it: one line, exit code 2
    │   ├── SpecError        a declaration (YAML or Python) is wrong
    │   ├── SourceError      rows cannot be read: file, table, id
    │   ├── EncoderError     a model folder cannot be loaded or trusted
    │   │   ├── NotFinite    it gives a vector that is no number: a text's fault, or the weights'
    │   │   └── NotEncodable an input that it cannot take: a broken image
    │   ├── ProviderBusy     an encoder behind a network asks to wait, and went on doing so
    │   ├── DatabaseError    Postgres cannot be reached, is too old, or lacks pgvector or rights
    │   ├── RuntimeFault     a process, port or folder of ours stands in the way
    │   ├── ExportError      a destination beside the index cannot be written or read
    │   └── NotFound         a collection, generation or row that does not exist
    └── IntegrityError       a promise would be broken, so we stop: exit code 1
        ├── ContractMismatch   vectors of one space would be compared with another } a UserError as well: the files
        ├── CanaryMismatch     the encoder no longer gives the vectors it gave     } or libraries can be put back: 2
        ├── CoverageError      rows of the source have no vector
        ├── RecallError        the index does not reach the declared recall
        └── NotLive            the named checkpoint or generation is not the live one

A message is one line: what is wrong, where, what was expected, what to do.
"""

from __future__ import annotations


class VectorAssetsError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class UserError(VectorAssetsError):
    """Something the person can mend. Shown as one line, exit code 2."""

    exit_code = 2


class SpecError(UserError):
    """A declaration is wrong; the message names file, line, key and what was expected."""


class SourceError(UserError):
    """Rows cannot be read; the message names the file or table and the row."""


class EncoderError(UserError):
    """A checkpoint cannot be loaded: files missing, weights not safetensors, an unknown name."""


class NotFinite(EncoderError, ValueError):
    """A vector is not finite: of one text that text's fault, of every text the weights'. So it is both."""


class NotEncodable(EncoderError, ValueError):
    """An input cannot be encoded. Of a row it is that row's failure, of a question the asker's: so it is both."""


class ProviderBusy(UserError):
    """An encoder's provider refuses work for now. ``retry_after`` is how long it asks to wait, in seconds.

    Raised by the encoder; the embedding stage waits and tries the same texts again, and charges no row.
    """

    def __init__(self, message: str = "the provider asks to wait", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DatabaseError(UserError):
    """Postgres cannot be reached, is too old, lacks pgvector, or refuses what we need."""


class RuntimeFault(UserError):
    """A port, folder, lock or process of this machine stands in the way."""


class ExportError(UserError):
    """An export cannot be written, is not whole, or stands where another one is."""


class NotFound(UserError):
    """A collection, generation, row or run that does not exist."""


class IntegrityError(VectorAssetsError):
    """A promise would be broken, so the work stops. Exit code 1."""


class ContractMismatch(IntegrityError, UserError):
    """Two sides disagree on what a vector means; the message names both."""


class CanaryMismatch(IntegrityError, UserError):
    """Re-encoded canaries differ from the stored ones beyond the bound."""


class CoverageError(IntegrityError):
    """Rows of the source have no vector in the generation."""


class RecallError(IntegrityError):
    """The index cannot reach the declared recall."""


class NotLive(IntegrityError):
    """The named checkpoint or generation is not the live one."""

    @classmethod
    def nothing(cls, collection: str) -> NotLive:
        """Nothing is live at all, with what to do."""
        return cls(
            f"collection {collection} has no live generation; run vector-assets materialize {collection}, or, where "
            f"that kept its candidate out, see vector-assets status {collection} for the way out"
        )
