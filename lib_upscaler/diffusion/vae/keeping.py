"""As much kept between the layers as memory allows."""

from __future__ import annotations

from collections.abc import Sequence

from ...planning.budget import OVERHEAD_BYTES
from .graph import Graph
from .schedule import Keep, Schedule, Setting, make_schedule

__all__ = ["EXACT_KEEPS", "FAST_KEEPS", "within"]

EXACT_KEEPS = (Keep.ALL, Keep.LEAN, Keep.STREAM, Keep.NONE)
FAST_KEEPS = (Keep.ALL, Keep.SAMPLED)
"""What a stage keeps, from the least work to the least memory."""


def within(graph: Graph, keeps: Sequence[Keep], setting: Setting, limit: int, windows_count: bool) -> Schedule | None:
    """The schedule that keeps the most within ``limit`` bytes; None where none does.

    windows_count: whether windows take of the same memory as planes.
    """
    allowed = [[keep for keep in keeps if _may(graph, keep, stage)] for stage in range(graph.stages)]
    chosen = [0] * graph.stages
    while True:
        schedule = make_schedule(graph, [some[number] for some, number in zip(allowed, chosen)], setting)
        need = max(step.planes + (step.working if windows_count else 0) for step in schedule.steps)
        if need + OVERHEAD_BYTES <= limit:
            return schedule
        stage = _to_lessen(graph, schedule, [len(some) - 1 - number for some, number in zip(allowed, chosen)])
        if stage is None:
            return None
        chosen[stage] += 1


def _may(graph: Graph, keep: Keep, stage: int) -> bool:
    away = abs(stage - graph.full_stage)
    if keep is Keep.NONE:
        return away == 0  # half the resolution is a quarter of the memory, so what is below is kept in any case
    attended = any(value.kind == "attention" and value.stage == stage for value in graph.values)
    return keep is not Keep.SAMPLED or (away <= 2 and not attended)


def _to_lessen(graph: Graph, schedule: Schedule, left: Sequence[int]) -> int | None:
    """The stage that must keep less: the fullest step's, else the nearest to it that can. left: choices of each."""
    fullest = max(schedule.steps, key=lambda step: step.planes + step.working)
    stage = graph.values[fullest.value].stage
    order = sorted(range(graph.stages), key=lambda other: (abs(other - stage), abs(other - graph.full_stage)))
    return next((other for other in order if left[other] > 0), None)
