import json
import re

_PARAMETER = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
_SIZE = re.compile(r"^(\d+)x(\d+)$")


def quote(text):
    text = str(text)
    return json.dumps(text, ensure_ascii=False) if any(c in text for c in ",\n:") else text


def parse_generation_parameters(x, skip_fields=None):
    """Of the last line; a size ``WxH`` becomes two values."""
    found = {}
    for key, value in _PARAMETER.findall(x.strip().split("\n")[-1]):
        value = json.loads(value) if value[:1] == value[-1:] == '"' else value
        size = _SIZE.match(value)
        found.update({f"{key}-1": size[1], f"{key}-2": size[2]} if size else {key: value})
    return found
