#!/usr/bin/env python3
"""A reward program for docs/data.md: 1 for the right number at the end, less 0.1 for every ten words."""
import json
import re
import sys

for line in sys.stdin:
    case = json.loads(line)
    numbers = re.findall(r"-?\d+", case["completion"])
    right = bool(numbers) and numbers[-1] == case["answer"]
    words = len(case["completion"].split())
    print(round(right - 0.1 * (words // 10), 3), flush=True)
