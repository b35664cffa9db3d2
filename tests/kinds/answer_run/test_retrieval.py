import numpy as np

from jobplane.engine.kinds.answer_run.chunking import Chunk, chunk_document
from jobplane.engine.kinds.answer_run.encoder import Array
from jobplane.engine.kinds.answer_run.questions import sub_questions
from jobplane.engine.kinds.answer_run.reading import read_document
from jobplane.engine.kinds.answer_run.retrieval import Retriever
from jobplane.engine.kinds.answer_run.settings import Limits
from jobplane.engine.kinds.answer_run.source import RawFile

TEXTS = ("The ferry crosses the bay.", "Bread is baked at dawn.", "A vessel sails over the water.")


class BoatsAreAlike:
    """Sees meaning where words differ: ferries and vessels are one thing to it."""

    def embed(self, text: str) -> Array:
        boat = any(word in text.lower() for word in ("ferry", "vessel", "boat"))
        return np.array([1.0, 0.0] if boat else [0.0, 1.0], dtype=np.float32)


def passages() -> list[Chunk]:
    made: list[Chunk] = []
    for number, text in enumerate(TEXTS):
        raw = RawFile(f"{number}.md", text.encode())
        doc = read_document(raw, f"d{number}", Limits(), lambda *_: None)
        assert doc is not None
        made.extend(chunk_document(doc, 900))
    return made


def found(retriever: Retriever, text: str, k: int = 8) -> list[int]:
    [question] = sub_questions(text)
    return [entry.index for entry in retriever.find(question, k)]


def test_passages_that_share_no_word_are_not_found() -> None:
    assert found(Retriever(passages()), "Who bakes bread?") == [1]


def test_words_of_like_meaning_are_found_too() -> None:
    assert found(Retriever(passages()), "Where does the ship land?")[:2] == [0, 2]


def test_meaning_finds_what_words_do_not() -> None:
    hybrid = Retriever(passages())
    hybrid.learn_meaning(BoatsAreAlike())
    assert set(found(hybrid, "Where does the ferry land?", 2)) == {0, 2}


def test_fused_scores_say_where_they_come_from() -> None:
    [question] = sub_questions("Where does the ferry land?")
    hybrid = Retriever(passages())
    hybrid.learn_meaning(BoatsAreAlike())
    [best, *_] = hybrid.find(question, 3)
    assert best.scores.dense == 1.0
    assert best.scores.fused == round(2 / 61, 6)


def test_no_passages_are_an_index_too() -> None:
    assert found(Retriever([]), "Where does the ferry land?") == []
    hybrid = Retriever([])
    hybrid.learn_meaning(BoatsAreAlike())
    assert found(hybrid, "Where does the ferry land?") == []


def test_equal_passages_keep_their_order() -> None:
    same = passages()[:1] * 5
    assert found(Retriever(same), "Where does the ferry land?") == [0, 1, 2, 3, 4]


def test_passages_of_function_words_alone_are_an_index_too() -> None:
    raw = RawFile("the.md", b"The of and to.")
    doc = read_document(raw, "d1", Limits(), lambda *_: None)
    assert doc is not None
    assert found(Retriever(chunk_document(doc, 900)), "Where does the ferry land?") == []
