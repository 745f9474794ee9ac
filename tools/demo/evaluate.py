"""Scores the demonstration model by running what it answers.

python -m tools.demo.evaluate [--folder app/demo/model] [--cases evals/demo/tuning.jsonl] [--wrong]

evals/demo/final.jsonl is for a released model, once; docs/model-card.md keeps its scores.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tools.demo import execute

FOLDER = Path(__file__).parents[2] / "app" / "demo" / "model"
CASES = Path(__file__).parents[2] / "evals" / "demo" / "tuning.jsonl"
_MOST_TOKENS = 160


@dataclass(frozen=True)
class Case:
    """The user's turns of a conversation, and what the functions in the answers must return."""

    id: str
    language: str
    kind: str  # single, conversation or offtopic
    turns: tuple[str, ...]
    checks: tuple[execute.Check, ...]


@dataclass(frozen=True)
class Score:
    """One case with its answers; `fault` is None when it is right."""

    case: Case
    answers: list[str]
    fault: str | None

    @property
    def declined(self) -> bool:
        return any("def " not in answer for answer in self.answers)


class Model:
    """The model in float32 on the CPU, greedy; a batch of conversations at a time."""

    def __init__(self, folder: Path) -> None:
        self.words = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def answer(self, conversations: list[list[dict[str, str]]]) -> list[str]:
        """The next message of each conversation."""
        texts = [
            self.words.apply_chat_template(each, tokenize=False, add_generation_prompt=True)
            for each in conversations
        ]
        asked = self.words(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        asked.pop("token_type_ids", None)
        with torch.inference_mode():
            made = self.network.generate(**asked, max_new_tokens=_MOST_TOKENS, do_sample=False)
        new = made[:, asked["input_ids"].shape[1] :]
        return [text.strip() for text in self.words.batch_decode(new, skip_special_tokens=True)]


def read_cases(path: Path) -> list[Case]:
    """The cases of a JSONL file."""
    with path.open(encoding="utf-8") as lines:
        return [_read_case(json.loads(line)) for line in lines]


def _read_case(fields: dict[str, Any]) -> Case:
    checks = tuple(execute.Check(**check) for check in fields["checks"])
    turns = tuple(fields["turns"])
    return Case(fields["id"], fields["language"], fields["kind"], turns, checks)


def converse(model: Model, talks: list[tuple[str, ...]]) -> list[list[str]]:
    """The model's answers to each list of user turns, each turn seeing the ones before it."""
    answers: list[list[str]] = [[] for _ in talks]
    for turn in range(max(len(talk) for talk in talks)):
        active = [i for i, talk in enumerate(talks) if len(talk) > turn]
        asked = [_messages(talks[i][: turn + 1], answers[i]) for i in active]
        for i, text in zip(active, model.answer(asked), strict=True):
            answers[i].append(text)
    return answers


def _messages(turns: tuple[str, ...], answers: list[str]) -> list[dict[str, str]]:
    messages = [{"role": "user", "content": turns[0]}]
    for answer, turn in zip(answers, turns[1:], strict=True):
        messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": turn}]
    return messages


def score(model: Model, cases: list[Case], size: int = 64) -> list[Score]:
    """Answers and runs every case."""
    scores = []
    for start in range(0, len(cases), size):
        part = cases[start : start + size]
        for case, answers in zip(part, converse(model, [c.turns for c in part]), strict=True):
            scores.append(Score(case, answers, _find_fault(case, answers)))
    return scores


def _find_fault(case: Case, answers: list[str]) -> str | None:
    if case.kind == "offtopic":
        return "not declined" if "def " in answers[0] or not answers[0] else None
    return execute.find_fault(answers, list(case.checks))


def tabulate(scores: list[Score]) -> str:
    """Right answers by kind and language, and how many answerable cases were declined."""
    cells: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for each in scores:
        for language in (each.case.language, "all"):
            cells[each.case.kind, language].append(each.fault is None)
    rows = [f"{kind:13} {language:4} {_ratio(right)}" for (kind, language), right in cells.items()]
    declined = [each.declined for each in scores if each.case.kind != "offtopic"]
    return "\n".join([*sorted(rows), f"answerable but declined: {_ratio(declined)}"])


def _ratio(found: list[bool]) -> str:
    return f"{sum(found):3} of {len(found):3}  {100 * sum(found) / len(found):5.1f} %"


def main() -> None:
    """Prints the table, and with --wrong every wrong answer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--cases", type=Path, default=CASES)
    parser.add_argument("--wrong", action="store_true", help="print what was wrong")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    scores = score(Model(options.folder), read_cases(options.cases))
    for each in scores if options.wrong else ():
        if each.fault is not None:
            print(each.case.id, each.case.turns, each.answers, each.fault, sep="\n  ")
    print(tabulate(scores))


if __name__ == "__main__":
    main()
