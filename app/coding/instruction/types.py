"""Words for types in the spelling of each programming language."""

import re

_WORDS: dict[str, tuple[str, ...]] = {
    #         javascript    java      go         rust      cpp
    "str": ("string", "String", "string", "String", "std::string"),
    "int": ("number", "int", "int", "i32", "int"),
    "float": ("number", "double", "float64", "f64", "double"),
    "bool": ("boolean", "boolean", "bool", "bool", "bool"),
    "list": ("Array", "List", "[]any", "Vec", "std::vector"),
    "dict": ("object", "Map", "map", "HashMap", "std::map"),
}
_LISTS = ("{}[]", "List<{}>", "[]{}", "Vec<{}>", "std::vector<{}>")
_COLUMNS = {"javascript": 0, "typescript": 0, "java": 1, "go": 2, "rust": 3, "cpp": 4, "c": 4}
_SQL = {"str": "TEXT", "int": "INTEGER", "float": "REAL", "bool": "BOOLEAN"}
_C = {"str": "char *"}
_BOXED = {"int": "Integer", "double": "Double", "boolean": "Boolean"}
_LIST = re.compile(r"list\[(.+)\]")


def spell(word: str, language: str | None) -> str:
    """The type that a word stands for (`str`, `list[int]`), as `language` writes it."""
    word = "float" if word == "number" else word
    if language == "sql":
        return _SQL.get(word, word)
    if language == "c" and word in _C:
        return _C[word]
    column = _COLUMNS.get(language or "")
    if column is None:
        return word.replace("number", "float")
    inner = _LIST.fullmatch(word)
    if inner is None:
        return _WORDS[word][column] if word in _WORDS else word
    element = spell(inner[1], language)
    return _LISTS[column].format(_BOXED.get(element, element) if column == 1 else element)
