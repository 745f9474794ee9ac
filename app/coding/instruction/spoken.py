"""The programming language that an instruction speaks of."""

from app.coding import languages
from app.coding.instruction.evidence import Evidence, named_languages
from app.coding.instruction.tree import Intent

CONFIGURED = frozenset({"yaml", "json", "toml", "ini", "dockerfile", "nginx", "makefile", "xml"})
SHELLS = frozenset({"bash", "powershell", "batch"})


def choose(evidence: Evidence, intent: Intent) -> str | None:
    """The programming language of the answer: what a conversion ends in, what is named, or the
    language of the code that is shown."""
    named = named_languages(evidence, "LANGUAGE")
    shown = [block.language for block in evidence.blocks if block.language]
    if intent == Intent.CONVERT:
        others = [each for each in named + named_languages(evidence, "HINT") if each not in shown]
        wanted = others or named
        return wanted[-1] if wanted else None
    spoken = [each for each in named if not (each in CONFIGURED and len(set(named)) > 1)]
    hinted = named_languages(evidence, "HINT")
    endings = [_ending_language(str(t)) for t in evidence.tokens if t.type == "FILENAME"]
    if not shown and endings[:1] and endings[0] in CONFIGURED:
        return endings[0]
    found = [*spoken, *shown, *filter(None, endings), *hinted]
    return found[0] if found else None


def _ending_language(name: str) -> str | None:
    lower = name.rsplit("/", 1)[-1].lower()
    if lower in ("dockerfile", "makefile"):
        return lower
    ending = lower.rsplit(".", 1)[-1]
    if "nginx" in lower:
        return "nginx"
    return languages.NAMES.get({"h": "c", "mk": "makefile"}.get(ending, ending))
