"""What prompts are made into: one number for each of their tokens, by which a test knows them.

MEANINGS: text -> that number; 1 for others, 0 for negative prompts. LENGTHS: text -> tokens; 1 for others. "[a:b:2]" is
"a" up to the second step, and "b" after it. ENCODED: every text that was made into something.
"""

import re
from collections import namedtuple

import torch
from modules import sd_models

MEANINGS, LENGTHS, ENCODED = {}, {}, []

ScheduledPromptConditioning = namedtuple("ScheduledPromptConditioning", ["end_at_step", "cond"])
_LAST = 10**6


class ComposableScheduledPromptConditioning:
    def __init__(self, schedules, weight=1.0):
        self.schedules, self.weight = schedules, weight


class MulticondLearnedConditioning:
    def __init__(self, shape, batch):
        self.shape, self.batch = shape, batch


def get_multicond_prompt_list(prompts):
    found, flat, indexes = [], [], {}
    for prompt in prompts:
        parts = []
        for part in re.split(r"\bAND\b", prompt):
            text, _, weight = re.match(r"^(.*?)(\s*:\s*([\d.]+))?\s*$", part, re.DOTALL).groups()
            if text not in indexes:
                indexes[text] = len(flat)
                flat.append(text)
            parts.append((indexes[text], float(weight or 1.0)))
        found.append(parts)
    return found, flat, indexes


def _encoded(text, usual):
    ENCODED.append(text)
    meaning = float(MEANINGS.get(text, usual))
    cond = torch.full((LENGTHS.get(text, 1), 1), meaning)
    if not getattr(sd_models.model_data.sd_model, "is_sdxl", False):
        return cond
    vector = torch.zeros(2816)
    vector[0] = meaning
    return {"crossattn": cond, "vector": vector}


def _schedule(prompt, usual):
    editing = re.search(r"\[([^:\]]*):([^:\]]*):(\d+)\]", prompt)
    if editing is None:
        return [ScheduledPromptConditioning(_LAST, _encoded(prompt, usual))]
    before, after = (prompt.replace(editing[0], part) for part in editing.groups()[:2])
    return [
        ScheduledPromptConditioning(int(editing[3]), _encoded(before, usual)),
        ScheduledPromptConditioning(_LAST, _encoded(after, usual)),
    ]


def get_learned_conditioning(model, prompts, steps):
    return [_schedule(prompt, 0.0) for prompt in prompts]


def get_multicond_learned_conditioning(model, prompts, steps):
    found, flat, _ = get_multicond_prompt_list(prompts)
    made = [_schedule(text, 1.0) for text in flat]
    batch = [[ComposableScheduledPromptConditioning(made[i], weight) for i, weight in parts] for parts in found]
    return MulticondLearnedConditioning((len(prompts),), batch)


def _at(schedules, step):
    return next(entry.cond for entry in schedules if step <= entry.end_at_step)


def _stacked(conds):
    if isinstance(conds[0], dict):
        return {key: torch.stack([cond[key] for cond in conds]) for key in conds[0]}
    return torch.stack(conds)


def reconstruct_cond_batch(c, current_step):
    return _stacked([_at(schedules, current_step) for schedules in c])


def reconstruct_multicond_batch(c, current_step):
    conds, listed = [], []
    for parts in c.batch:
        listed.append([(len(conds) + number, part.weight) for number, part in enumerate(parts)])
        conds += [_at(part.schedules, current_step) for part in parts]
    return listed, _stacked(conds)
