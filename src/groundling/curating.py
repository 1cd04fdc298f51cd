"""What the filters of curate may know of a run: the evaluation's questions, and the model by which meanings are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .runs import Run
from .sections import GROUNDED

if TYPE_CHECKING:
    import numpy

    from .curate import Context


def filtering(run: Run) -> Context:
    """What the filters of curate may know: the evaluation's questions, the seed, and the embedding model where the config names one."""
    from .curate import Context

    def embed(texts: Sequence[str]) -> numpy.ndarray:
        from .index.retrievers.dense import Embedder

        return Embedder(run.index_options).texts(texts)

    held = run.config.train.format not in GROUNDED
    return Context(questions=run.secret, seed=run.config.seed, embed=embed if run.config.index.model else None, held_out=held)


def filters(run: Run) -> list[str | dict[str, Any]]:
    """The filters of curate with the options that are not as by default."""
    from .curate import identity

    return identity(run.config.curate)


def embedding(run: Run) -> dict[str, str]:
    """The identity of what the filters of curate compare meanings by: weights and prefix. Empty where no filter does."""
    from .curate import needs_model
    from .llm.weights import identity

    if not needs_model(run.config.curate) or not run.config.index.model:
        return {}
    return {"model": identity(run.index_options.model), "prefix": run.config.index.query_prefix}
