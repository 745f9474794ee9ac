"""What people wrote tells what an instruction fixes: the names of new functions, and renames."""

import ast
from functools import cache

import pytest

from app.coding import beginnings, instruction, nametalk
from app.coding.prompts import Form
from app.wire.rows import Symbol
from tools.demo import changes, written
from tools.demo.families import LANGUAGES

EVERY = 10  # one in so many is looked at
PLAIN = Form(style="plain")


def _name(code: str) -> str:
    node = ast.parse(code).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node.name


def _symbol(number: int, code: str) -> Symbol:
    fields = ("t", "s", None, _name(code), "function", "python", 1, None, None, None)
    return Symbol(number, *fields, code, "j", False, True, 0.0)


def _begin(request: str, *known: str) -> str:
    tree = instruction.parse(request)
    symbols = [_symbol(number, code) for number, code in enumerate(known, 1)]
    return beginnings.find(tree, PLAIN, symbols[::-1], request)


@cache
def _first(language: str) -> list[tuple[bool, bool]]:
    """For each first request: whether something was fixed, and whether the answer begins so."""
    found = []
    for talk in written.load(language)[::EVERY]:
        begun = _begin(talk[0].request)
        found.append((bool(begun), talk[0].answer.startswith(begun)))
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_name_that_begins_an_answer_is_the_function_s_in_99_of_100(language: str):
    fixed = [is_right for is_begun, is_right in _first(language) if is_begun]

    assert len(fixed) > len(_first(language)) / 2
    assert sum(fixed) >= 0.99 * len(fixed)


@cache
def _later(language: str) -> list[tuple[str, str, str, bool]]:
    """Each later request, the name it wants if that is all, the function's, and whether it is a rename."""
    found = []
    for talk in written.load(language):
        known: dict[str, str] = {}
        for number, one in enumerate(talk):
            name = _name(one.answer)
            if number:
                said = [each for each in known if each in one.request]
                old = said[-1] if said else list(known)[-1]
                renamed = changes.replace_name(known[old], old, name)
                wanted = nametalk.find(one.request, {old}) or ""
                found.append((one.request, wanted, name, old != name and renamed == one.answer))
            known.pop(name, None)
            known[name] = one.answer
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_talk_of_nothing_but_a_name_is_told_from_all_other_requests(language: str):
    taken = [(name, is_rename, wanted) for _, wanted, name, is_rename in _later(language) if wanted]
    renames = sum(is_rename for _, _, _, is_rename in _later(language))

    right = sum(is_rename and wanted == name for name, is_rename, wanted in taken)

    assert right >= 0.45 * renames
    assert len(taken) - right <= 3  # of thousands


@cache
def _signatures(language: str) -> list[bool]:
    """For each later request that begins an answer: whether the answer begins so."""
    found = []
    for talk in written.load(language)[::EVERY]:
        for number in range(1, len(talk)):
            begun = _begin(talk[number].request, *(one.answer for one in talk[:number]))
            found += [talk[number].answer.startswith(begun)] if begun else []
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_later_request_fixes_is_how_the_answer_begins_in_98_of_100(language: str):
    assert len(_signatures(language)) > 100
    assert sum(_signatures(language)) >= 0.98 * len(_signatures(language))


AREA = "def area(width, height):\n    return width * height"
TOTAL = "def total(items):\n    return sum(items)"


@pytest.mark.parametrize("request_", [
    "call it outline", "Rename it to outline", "name: out_line", "then its name should be outline, please", "so rename it outline",
    "area isn't the right name any more, out_line is", "rename to outline.", "名字改 outline", "那名字改成 outline 吧", "area 这个名字改成 outline",
    "函数名不合适了，叫 outline 吧", "名前は outline がいいな", "areaの名前はoutlineがいいな", "じゃあ outline に改名して", "名前が変なので outline に",
])  # fmt: skip
def test_talk_of_nothing_but_a_name_begins_with_the_whole_renamed_function(request_: str):
    new = "out_line" if "out_line" in request_ else "outline"

    assert _begin(request_, TOTAL, AREA) == AREA.replace("area", new)


@pytest.mark.parametrize("request_", [
    "don't call it outline", "call it twice", "call it something better", "name it properly", "call it a day", "call it n times",
    "call it for each number", "the name isn't outline", "name the parameter outline", "不要叫 outline", "参数叫 outline", "返回值改成 outline",
    "改成 outline", "叫它 n 次", "call out_line", "then call out_line instead", "use name_of instead", "call it here", "call it recursively", "name it yourself",
    "旧的改名为outline", "第一个函数改名为outline", "名字不变，内容改成outline", "别叫outline", "outlineを呼んで", "outlineという名前は変だ", "名前はoutlineでいいですか",
    "最初の関数をoutlineに改名して", "一つ前の関数の名前をoutlineに", "the first one should be called out_line", "戻り値の名前をoutlineに", "call the variable out_line",
    "rename name to full_name", "items 改名 numbers", "call it for each_item", "名字叫 out_line 太长", "名字叫 my_area 太长", "is it called out_line?", "名前は out_line じゃない",
    "the name out_line is too long", "名前は英語で", "outline に変えないで", "名前を outline にしないで", "引数の名前は outline で", "outline を返して",
])  # fmt: skip
def test_what_says_more_or_something_else_is_no_rename(request_: str):
    assert "return" not in _begin(request_, TOTAL, AREA)


def test_a_word_that_is_no_name_behind_call_it_is_one_behind_rename_it_to():
    assert _begin("Rename it to twice.", AREA) == AREA.replace("area", "twice")
    assert _begin("call it twice", AREA) == ""
    assert _begin("double a number, name it double") == "def double("


def test_one_signature_of_something_new_begins_an_answer_whatever_else_is_known():
    asked = "total_with_tax(prices): a list of net prices, each run through it, area for instance"

    assert _begin(asked, TOTAL, AREA) == "def total_with_tax(prices"
    assert _begin("use area in a new function volume(a, b, h)", AREA) == "def volume(a, b, h"
    assert _begin("make it return Decimal(width)", AREA) == ""
    assert _begin("explain what total_of(items) does", AREA) == ""
    assert _begin("first low(items), then high(items)", AREA) == ""
    assert _begin("a function that adds two numbers: add(a, b)") == "def add(a, b"
    assert _begin("use area(a, b) and then double it", AREA) == ""


@pytest.mark.parametrize(("request_", "beginning"), [
    ("家賃rentが手取りincomeの3分の1以下なら適正", ""), ("字典prices里的总金额", ""), ("人数peopleが入るかどうか判定する関数", ""),
    ("three exam marks m1, m2, m3: mean of the best two", ""), ("体重weight(kg)と身長height(m)からBMI", ""), ("scoresというリストの平均", ""),
    ("digits reversed as a number: flip(n)", "def flip(n"), ("capitals quiz: France Paris - capital(country)", "def capital(country"),
    ("歩幅70cmで歩数から距離を出す aruku(steps)", "def aruku(steps"), ("glue(words, sep=1, end)", "def glue(words"),
    ("a function called total that adds up", "def total("), ("a list called words, count the long ones", ""), ("like add(a, b) but for three", ""),
    ("what does foo(a) do?", ""), ("foo(a) は何をする関数？", ""), ("write tests for surface(w, h)", ""), ("create class Dog(name)", ""), ("mock load(path)", ""),
    ("I have a function get_price(item), write one that totals a cart", ""), ("已有 is_prime(n)，列出质数", ""), ("is_prime(n)という関数があるので素数を並べて", ""),
    ("load(path) is fine, now write the counterpart that saves", ""), ("load(path) はそのままで、保存する関数を追加", ""), ("unlike divide(a, b), return None on zero", ""),
    ("sort the people by get_age(person)", ""), ("按照 key(x) 分组", ""), ("参数 n(int)，返回阶乘", ""), ("use @retry(times) on it", ""), ("lcm: a*b // gcd(a, b)", ""),
    ("returns a Point(x, y) in the middle of two", ""), ("关数 f(x) 的零点", ""), ("calling parse(text) raises ValueError", ""), ("call it from main2", ""),
    ("function called recursively", ""), ("add(a, b)を使って三つ足す", ""), ("resultという名前で返す", ""), ("字典叫prices，求总价", ""), ("the function must not be named area", ""), ("二の累乗を返す関数、名前はruijo", "def ruijo("), ("写一个去掉空格的函数，函数名 qukong", "def qukong("),
])  # fmt: skip
def test_a_name_begins_an_answer_only_where_it_is_the_function_s_without_doubt(
    request_: str, beginning: str
):
    assert _begin(request_) == beginning
