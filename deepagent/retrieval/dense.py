"""Search by meaning: inner products, exact or along a graph, by FAISS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepagent.retrieval.threads import patient_openmp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deepagent.retrieval.encoders import Matrix

    Rows = NDArray[np.intp]
    Mask = NDArray[np.bool_]

GRAPH_FROM = 20_000
"""Tools from which a graph is searched instead of all vectors: where the two were measured to cost the same."""

_LINKS = 32
_BREADTH_BUILDING = 80
_BREADTH = 256
"""How many vectors the search keeps in view, at least: what recall of the graph costs."""


class DenseIndex:
    """Compares query vectors with the vectors of all tools.

    Below `GRAPH_FROM` tools every search is exact; from there on it follows an HNSW graph.

    Args:
        vectors: one normalised row per tool, shape (tools, dimension).
    """

    def __init__(self, vectors: Matrix) -> None:
        faiss = _faiss()
        self._graph: Any = None
        self._flat: Any
        if len(vectors) >= GRAPH_FROM:
            self._graph = faiss.IndexHNSWFlat(vectors.shape[1], _LINKS, faiss.METRIC_INNER_PRODUCT)
            self._graph.hnsw.efConstruction = _BREADTH_BUILDING
            self._graph.add(vectors)
            self._flat = faiss.downcast_index(self._graph.storage)  # the same vectors, searched one by one
        else:
            self._flat = faiss.IndexFlatIP(vectors.shape[1])
            self._flat.add(vectors)

    @classmethod
    def open(cls, vectors: Path, graph: Path | None) -> DenseIndex:
        """Map an index that was saved into memory.

        Raises:
            RuntimeError: FAISS does not know the files.
        """
        faiss = _faiss()
        made = cls.__new__(cls)
        made._flat = faiss.read_index(str(vectors), faiss.IO_FLAG_MMAP_IFC)
        made._graph = None
        if graph is not None:
            made._graph = faiss.read_index(str(graph), faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_SKIP_STORAGE)
            made._graph.storage, made._graph.own_fields = made._flat, False
        return made

    def save_vectors(self, path: Path) -> None:
        """Write the vectors."""
        _faiss().write_index(self._flat, str(path))

    def save_graph(self, path: Path) -> None:
        """Write the graph without the vectors."""
        faiss = _faiss()
        faiss.write_index(self._graph, str(path), faiss.IO_FLAG_SKIP_STORAGE)

    @property
    def has_graph(self) -> bool:
        """Whether searches follow a graph."""
        return self._graph is not None

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._flat.d)

    def __len__(self) -> int:
        return int(self._flat.ntotal)

    @property
    def vectors(self) -> Matrix:
        """The vectors, shape (tools, dimension): a view, not to be changed."""
        import numpy as np

        if not len(self):
            return np.zeros((0, self.dimension), np.float32)
        view: Matrix = _faiss().rev_swig_ptr(self._flat.get_xb(), len(self) * self.dimension)
        return view.reshape(len(self), self.dimension)

    def best(self, queries: Matrix, k: int, allowed: Mask | None = None, *, exact: bool = False) -> Rows:
        """The rows whose vectors are nearest to any of the queries, up to `k` for each query, ascending.

        Args:
            queries: shape (queries, dimension).
            k: most rows per query.
            allowed: which rows may be found, shape (tools,); all when None.
            exact: compare with all vectors, also where there is a graph.
        """
        import numpy as np

        faiss = _faiss()
        k = min(k, len(self))
        if not k:
            return np.zeros(0, np.intp)
        index = self._flat if exact or self._graph is None else self._graph
        settings = faiss.SearchParameters() if index is self._flat else faiss.SearchParametersHNSW()
        if index is not self._flat:
            settings.efSearch = max(_BREADTH, k)
        if allowed is not None:
            bits = np.packbits(allowed, bitorder="little")
            settings.sel = faiss.IDSelectorBitmap(bits)
        with _one_thread(faiss):
            _, rows = index.search(queries, k, params=settings)
        found: Rows = np.unique(rows[rows >= 0])
        return found

    def scores(self, queries: Matrix, rows: Rows | None = None) -> Matrix:
        """Return the cosine of every query with every tool, or with those in `rows`, shape (queries, tools)."""
        import numpy as np

        # Not by BLAS, whose threads wait for each other over so little, and whose last bits depend on the shape.
        vectors = self.vectors if rows is None else self.vectors[rows]
        scores: Matrix = np.einsum("qd,td->qt", queries, vectors)
        return scores


def _faiss() -> Any:
    with patient_openmp():
        import faiss

    return faiss


@contextmanager
def _one_thread(faiss: Any) -> Iterator[None]:
    """One query is too little work for two threads: where the machine is busy they wait for each other."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
