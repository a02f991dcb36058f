"""What is wrong with a picture, if anything: `meta.verdict` (docs/captures.md).

Precise before clever: a sign that ordinary pages have, too, is none.
"""

from calotype.capture.verdict.again import LONGER_S, again
from calotype.capture.verdict.colours import Colours, colours_of, may_be_blank
from calotype.capture.verdict.evidence import EVERYWHERE, Evidence, PageEvidence, read_page
from calotype.capture.verdict.judge import flaws_of, verdict_of

__all__ = [
    "EVERYWHERE",
    "LONGER_S",
    "Colours",
    "Evidence",
    "PageEvidence",
    "again",
    "colours_of",
    "flaws_of",
    "may_be_blank",
    "read_page",
    "verdict_of",
]
