"""The programming language that an instruction speaks of."""

import itertools
import re

from app.coding import languages
from app.coding.instruction.evidence import Evidence, named_languages
from app.coding.instruction.tree import Intent

CONFIGURED = frozenset({"yaml", "json", "toml", "ini", "dockerfile", "nginx", "makefile", "xml"})
_YAML = re.compile(
    r"github actions|gitlab[- ]ci|docker[- ]compose|compose ?(?:file|ファイル|文件|配置)",
    re.IGNORECASE,
)  # "GitHub" and "compose" alone are other words
_COMMAND = re.compile(
    r"`\s*\$? ?(?:sudo )?(?:find|grep|awk|sed|curl|wget|tar|ls|cat|git|docker|kubectl|xargs|rsync|ssh|chmod|chown"
    r"|rm|cp|mv|echo|cut|head|tail|ps|du|df|kill|nohup|export|sort|systemctl) (?!=)[^`:]*`"
)  # a command between backticks
SHELLS = frozenset({"bash", "powershell", "batch"})


def choose(evidence: Evidence, intent: Intent) -> str | None:
    """The programming language of the answer: what a conversion ends in, what is named, or the
    language of the code that is shown."""
    named = named_languages(evidence, "LANGUAGE")
    shown = [block.language for block in evidence.blocks if block.language]
    if intent == Intent.CONVERT:
        others = [each for each in named + named_languages(evidence, "HINT") if each not in shown]
        if not others and _YAML.search(evidence.prose):
            return "yaml"
        led = [each for each in _lead_to(evidence) if each in others]
        wanted = led or others or named or named_languages(evidence, "HINT")
        return wanted[-1] if wanted else None
    spoken = [each for each in named if not (each in CONFIGURED and len(set(named)) > 1)]
    hinted = named_languages(evidence, "HINT")
    endings = [_ending_language(str(t)) for t in evidence.tokens if t.type == "FILENAME"]
    formats = ["yaml"] if _YAML.search(evidence.prose) else []
    formats += [*named_languages(evidence, "CONFIGURATION"), *filter(None, endings), *hinted]
    formats = [each for each in formats if each in CONFIGURED]
    is_code_file = bool(endings) and endings[0] is not None and endings[0] not in CONFIGURED
    if formats and not (shown or is_code_file or _is_program(evidence, spoken, intent)):
        return formats[0]
    if intent == Intent.TEST:
        endings = [each for each in endings if each not in CONFIGURED]
    typed = ["bash"] if _COMMAND.search(evidence.prose) else []
    found = [*spoken, *shown, *filter(None, endings), *hinted, *typed]
    return found[0] if found else None


def _lead_to(evidence: Evidence) -> list[str]:
    """The languages right after a word for a conversion: "into Go, with json tags"."""
    tokens = [token for token in evidence.tokens if token.type not in ("ARTICLE", "WORD")]
    led = [
        token
        for before, token in itertools.pairwise(tokens)
        if token.type == "LANGUAGE" and before.type in ("CONVERT", "INTO", "ARROW")
    ]
    return named_languages(Evidence(led, ()), "LANGUAGE")


def _is_program(evidence: Evidence, spoken: list[str], intent: Intent) -> bool:
    """Whether code is spoken of, so that a format is only what the code reads or writes."""
    is_code = evidence.has("FUNCTION", "CLASS", "SCRIPT") or intent == Intent.TEST
    return is_code and bool(spoken or named_languages(evidence, "HINT"))


def _ending_language(name: str) -> str | None:
    lower = name.rsplit("/", 1)[-1].lower()
    if lower in ("dockerfile", "makefile"):
        return lower
    ending = lower.rsplit(".", 1)[-1]
    if "nginx" in lower:
        return "nginx"
    return languages.NAMES.get({"h": "c", "mk": "makefile"}.get(ending, ending))
