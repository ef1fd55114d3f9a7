"""The vocabulary of shapes: text of a curve -> TF-IDF of its n-grams -> nearest k-means centre -> shape word.

scikit-learn learns it (`learn`); what it has learned is frozen into arrays, and `shape_word` repeats the arithmetic at
the bedside: sublinear term frequency, smoothed inverse document frequency, unit length, Euclidean distance. One
vocabulary serves all leads, so the same curve is the same word wherever the electrodes are.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detector.jit import kernel
from model.letters import ALPHABET, TEXT, text_of

NGRAM: Final = 4  # longest n-gram: four letters are 48 ms of a QRS, its edge
SYMBOLS: Final = len(ALPHABET)
#: Start of the n-grams of each length in the direct table of all of them.
_STARTS: Final = tuple(sum(SYMBOLS**k for k in range(1, n)) for n in range(1, NGRAM + 2))
TABLE: Final = _STARTS[NGRAM]
GRAMS: Final = sum(TEXT - n + 1 for n in range(1, NGRAM + 1))  # n-grams in one text


class Vocabulary(NamedTuple):
    """Frozen vocabulary, as the kernels read it.

    Attributes
    ----------
    columns : int32 (TABLE,)
        Term of every possible n-gram, -1 for those that were rare; an n-gram's place is its value in base 10 after
        all shorter ones.
    idf : float64 (terms,)
        Inverse document frequencies.
    centres : float64 (terms, words)
        k-means centres, a column each.
    norms : float64 (words,)
        Squared length of each centre.
    """

    columns: npt.NDArray[np.int32]
    idf: npt.NDArray[np.float64]
    centres: npt.NDArray[np.float64]
    norms: npt.NDArray[np.float64]


@kernel
def tfidf(
    vocabulary: Vocabulary, text: npt.NDArray[np.uint8], terms: npt.NDArray[np.int32], weights: npt.NDArray[np.float64]
) -> int:
    """TF-IDF vector of one text, sparse.

    Parameters
    ----------
    vocabulary : Vocabulary
    text : uint8 (TEXT,)
        Indices into `ALPHABET`.
    terms : int32 (GRAMS,), out
        Columns that are not zero, each once.
    weights : float64 (GRAMS,), out
        Their values; unit length.

    Returns
    -------
    int
        How many.
    """
    count = 0
    start = 0
    size = 1
    for n in range(1, NGRAM + 1):
        size *= SYMBOLS
        for first in range(TEXT - n + 1):
            place = 0
            for i in range(n):
                place = place * SYMBOLS + text[first + i]
            term = vocabulary.columns[start + place]
            if term < 0:
                continue
            at = 0
            while at < count and terms[at] != term:
                at += 1
            if at == count:
                terms[at] = term
                weights[at] = 0.0
                count += 1
            weights[at] += 1.0
        start += size
    length = 0.0
    for i in range(count):
        weights[i] = (1.0 + np.log(weights[i])) * vocabulary.idf[terms[i]]
        length += weights[i] * weights[i]
    length = np.sqrt(length)
    for i in range(count):
        weights[i] /= length
    return count


@kernel
def shape_word(vocabulary: Vocabulary, text: npt.NDArray[np.uint8]) -> int:
    """The shape word of one lead's text: the nearest centre, the first of equals."""
    terms = np.empty(GRAMS, np.int32)
    weights = np.empty(GRAMS, np.float64)
    count = tfidf(vocabulary, text, terms, weights)
    words = vocabulary.norms.shape[0]
    distance = vocabulary.norms.copy()
    for i in range(count):
        twice = 2.0 * weights[i]
        row = vocabulary.centres[terms[i]]
        for k in range(words):
            distance[k] -= twice * row[k]
    return int(np.argmin(distance))


@kernel
def shape_words(vocabulary: Vocabulary, texts: npt.NDArray[np.uint8], out: npt.NDArray[np.int64]) -> None:
    """`shape_word` of many texts, (n, TEXT) -> (n,)."""
    for i in range(texts.shape[0]):
        out[i] = shape_word(vocabulary, texts[i])


def learn(texts: npt.NDArray[np.uint8], words: int, terms: int, seed: int) -> Vocabulary:
    """Learn a vocabulary of shapes.

    Parameters
    ----------
    texts : uint8 (n, TEXT)
        Texts of single leads.
    words : int
        Shape words, k of k-means.
    terms : int
        Most frequent n-grams to keep.
    seed : int
        Of k-means.
    """
    from sklearn.cluster import MiniBatchKMeans  # noqa: PLC0415 - only training needs scikit-learn

    documents = [text_of(text) for text in texts]
    vectorizer = vectorizer_of(terms)
    matrix = vectorizer.fit_transform(documents)
    clusters = MiniBatchKMeans(words, random_state=seed, n_init=3, batch_size=4096, max_iter=50).fit(matrix)
    columns = np.full(TABLE, -1, np.int32)
    for gram, term in vectorizer.vocabulary_.items():
        place = 0
        for letter in gram:
            place = place * SYMBOLS + ALPHABET.index(letter)
        columns[_STARTS[len(gram) - 1] + place] = term
    centres = np.ascontiguousarray(clusters.cluster_centers_.T.astype(np.float64))
    return Vocabulary(columns, np.asarray(vectorizer.idf_, np.float64), centres, (centres**2).sum(axis=0))


def vectorizer_of(terms: int) -> Any:
    """The scikit-learn vectorizer whose arithmetic `tfidf` repeats."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415

    return TfidfVectorizer(
        analyzer="char",
        lowercase=False,
        ngram_range=(1, NGRAM),
        max_features=terms,
        sublinear_tf=True,
        dtype=np.float64,
    )
