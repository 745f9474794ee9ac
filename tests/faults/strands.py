"""Which faults there are, and which strike one after another: the strands run side by side."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.faults import (
    clocks,
    deaths,
    forgeries,
    outages,
    poisons,
    requests,
    stores,
    toxics,
    uploads,
    zombies,
)
from tests.faults.injections import DEATHS, Inject, Scene
from tests.faults.stage import STRUCK

Strand = dict[str, Inject]
_ONE_DATABASE = ("F17", "F18", "F19", "F20")  # the other one has no such fault: twice here


@dataclass(frozen=True)
class Ground:
    """What this run can do: the database's kind, and whether a small disk is under it."""

    database: str
    has_small_disk: bool = False


def weave(ground: Ground) -> dict[str, Strand]:
    """Strand by name. Within one, a fault begins after the one before is over."""
    return {
        **{device: _deaths(device) for device in STRUCK},
        "redis": _outages(),
        "store": _stores(ground),
        "poison": {
            "F03": poisons.poison("F03", "[[crash]]"),
            "F22": poisons.poison("F22", "[[hang]]"),
            "F23": poisons.spoil("F23", "[[oom]]", "out_of_memory"),
            "F26": poisons.spoil("F26", "[[nan]]", "numerical"),
        },
        "clients": _requests(),
        "uploads": {"F15": uploads.interrupt_upload},
        "lines": {"F28": uploads.mix_lines},
        "windows": {"F33": uploads.end_window},
    }


def list_missing(ground: Ground) -> dict[str, str]:
    """The kinds that cannot strike here though the database has them, and why."""
    found = {}
    if not deaths.can_starve():
        found["F24"] = "needs root and a control group v1 for memory"
    if not clocks.find_compiler():
        found["F31"] = "needs a C compiler"
    if ground.database == "sqlite" and not ground.has_small_disk:
        found["F20"] = "needs root, to mount a small tmpfs"
    return found


def _deaths(device: str) -> Strand:
    made = {
        "F01": deaths.kill_worker(device),
        "F02": deaths.kill_child(device),
        "F05": zombies.freeze_worker(device),
        "F06": deaths.swallow_hint(device),
        "F21": deaths.terminate_worker(device),
    }
    return made | ({"F24": deaths.starve_child(device)} if deaths.can_starve() else {})


def _outages() -> Strand:
    return {
        "F09": outages.kill_redis,
        "F10": outages.tear_redis,
        "F11": outages.freeze_redis,
        "F13": outages.fill_redis,
    } | {f"F12 {toxic}": outages.poison_redis(toxic) for toxic in toxics.KINDS}


def _stores(ground: Ground) -> Strand:
    made: Strand = {
        "F14": stores.kill_program("F14", "api"),
        "F34": stores.kill_program("F34", "control", "control-2"),
    }
    if clocks.find_compiler():
        made["F31"] = stores.jump_clock
    if ground.database != "sqlite":
        made["F17"] = stores.restart_postgres
        made[f"F18 {toxics.LOST_COMMIT}"] = stores.lose_commits
        return made | {f"F18 {toxic}": stores.poison_database(toxic) for toxic in toxics.KINDS}
    made["F19"] = stores.lock_sqlite
    return made | ({"F20": stores.fill_disk} if ground.has_small_disk else {})


def _requests() -> Strand:
    return {
        "F07": requests.double_hints,
        "F16": requests.repeat_request,
        "F27": requests.exceed,
        "F30": requests.crawl,
        "F32": requests.cancel_anytime,
        "F35": forgeries.forge_messages,
    }


def plan(
    strands: Mapping[str, Strand], rounds: int, kinds: Sequence[str], dice: random.Random
) -> dict[str, list[str]]:
    """What each strand does, in random order: every fault `rounds` times in all (twice that
    if the other database has no such fault). A fault with several forms (F12 latency, ...) has
    that many among them, each of them its share of `rounds` at least."""
    planned = {}
    for name, strand in strands.items():
        chosen = [kind for kind in strand if not kinds or kind in kinds]
        times = {kind: _share(strands, strand, kind, rounds) for kind in chosen}
        planned[name] = [kind for kind in chosen for _ in range(times[kind])]
        dice.shuffle(planned[name])
    return planned


def plan_calm(
    strands: Mapping[str, Strand], rounds: int, dice: random.Random
) -> dict[str, list[str]]:
    """Deaths alone, each `rounds` times in all, when every other strand is over: what a recovery
    takes while nothing hinders those who recover."""
    calm = (
        {
            name: {kind: make for kind, make in strands[name].items() if kind in DEATHS}
            for name in STRUCK
        }
        if rounds
        else {}
    )
    return plan(calm, rounds, (), dice)


def _share(strands: Mapping[str, Strand], strand: Strand, kind: str, rounds: int) -> int:
    forms = [each for each in strand if each.partition(" ")[0] == kind.partition(" ")[0]]
    places = len(forms) * sum(kind in each for each in strands.values())
    least = -(-rounds // len(forms)) if len(forms) > 1 else 1
    if kind.startswith(_ONE_DATABASE):
        rounds *= 2
    return max(least, rounds // places + (forms.index(kind) < rounds % places))


def scene_of(scene: Scene, name: str) -> Scene:
    """The same with dice of its own, so that strands do not disturb each other's."""
    return Scene(scene.stage, scene.clients, random.Random(f"{scene.dice.random()} {name}"))
