"""A network trained with parts of the language out or in (`model.evaluation.ablation`), by the recipe that ships."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detector.types import LEADS
from model.dataset import Passage
from model.evaluation.ablation import Ablation, withheld
from model.letters import TEXT, text_of
from model.lstm import BeatProbabilities, classify_sequence
from model.network import Network, StatelessNetwork
from model.pace import LONGEST_RR_S
from model.train import Round, Trainer, TrainingConfig, texts_of, words_of
from model.vocabulary import TABLE, Vocabulary, vectorizer_of
from model.words import RR, RR_OWN, WORDS, level_of

FUTURE: Final = 2  # words of the RR interval after the beat: against the one before it, against the own
SCALE: Final = WORDS[RR_OWN]  # on which both are said


class AblatedTrainer(Trainer):
    """One training run of an ablation; see `Trainer`."""

    def __init__(
        self,
        passages: Sequence[Passage],
        config: TrainingConfig,
        ablation: Ablation,
        report: Callable[[Round], None] = lambda _: None,
    ) -> None:
        self.ablation = ablation
        self.network_type = Network if ablation.memory else StatelessNetwork
        self.counted: Counted | None = None
        super().__init__(passages, config if ablation.again else replace(config, last_hidden=0), None, report)

    def fields(self, config: TrainingConfig) -> tuple[int, ...]:
        """Those of the language, and the future's."""
        return (*super().fields(config), *(SCALE.levels + 1,) * FUTURE * self.ablation.future)

    def learn(self, passages: Sequence[Passage]) -> Vocabulary:
        """The vocabulary of shapes; an empty one where shapes are not said, or said from counts."""
        if self.ablation.text and self.ablation.tfidf:
            return super().learn(passages)
        if self.ablation.text:
            self.counted = Counted.learn(texts_of(passages, self.config), self.config)
        words = self.config.clusters
        return Vocabulary(np.full(TABLE, -1, np.int32), np.zeros(1), np.zeros((1, words)), np.zeros(words))

    def say(self, passage: Passage) -> npt.NDArray[np.int64]:
        """A passage in the words that this ablation leaves, (n, W)."""
        words = words_of(withheld(passage, self.ablation), self.vocabulary)
        if self.counted is not None:
            for lead in range(LEADS):
                told = words[:, lead] < self.config.clusters
                words[told, lead] = self.counted.words(passage.texts[told, lead])
        return np.hstack([words, future_words(passage)]) if self.ablation.future else words

    def read(self, passage: Passage) -> BeatProbabilities:
        """Both words on a passage."""
        return classify_sequence(
            self.weights().layers, self.say(passage), passage.follows, alone=not self.ablation.memory
        )


def future_words(passage: Passage) -> npt.NDArray[np.int64]:
    """Levels (n, FUTURE) of the RR interval after each beat, against the one before it and the patient's own."""
    said = np.full((len(passage.samples), FUTURE), SCALE.levels, np.int64)
    rr = np.diff(passage.samples) / passage.rate_hz
    known = (rr > 0) & (rr <= LONGEST_RR_S)
    behind = np.full(len(passage.samples), np.nan)
    behind[:-1][known] = np.log2(rr[known])
    before = passage.values[:, RR].astype(np.float64)
    own = before - passage.values[:, RR_OWN]
    for column, against in enumerate((before, own)):
        for i, value in enumerate(behind - against):
            said[i, column] = level_of(RR_OWN, value)
    return said


@dataclass(frozen=True)
class Counted:
    """Shape words by k-means on plain counts of n-grams: the vocabulary without TF-IDF."""

    vectorizer: Any
    clusters: Any

    @classmethod
    def learn(cls, texts: npt.NDArray[np.uint8], config: TrainingConfig) -> Counted:
        """From texts (n, TEXT); the same n-grams and clusters as the vocabulary's."""
        from sklearn.cluster import MiniBatchKMeans  # noqa: PLC0415 - only training needs scikit-learn
        from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415

        weighed = vectorizer_of(config.ngrams)
        shared = {name: weighed.get_params()[name] for name in ("analyzer", "lowercase", "ngram_range", "max_features")}
        vectorizer = CountVectorizer(**shared, dtype=np.float64)
        matrix = vectorizer.fit_transform([text_of(text) for text in texts])
        kmeans = MiniBatchKMeans(config.clusters, random_state=config.seed, n_init=3, batch_size=4096, max_iter=50).fit(
            matrix
        )
        return cls(vectorizer, kmeans)

    def words(self, texts: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Shape words (n,) of texts (n, TEXT)."""
        if not len(texts):
            return np.zeros(0, np.int64)
        different, place = np.unique(np.ascontiguousarray(texts).view(f"S{TEXT}"), return_inverse=True)
        read = np.frombuffer(different.tobytes(), np.uint8).reshape(len(different), TEXT)
        words = self.clusters.predict(self.vectorizer.transform([text_of(text) for text in read]))
        return np.asarray(words[place.ravel()], np.int64)
