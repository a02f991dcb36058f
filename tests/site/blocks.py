"""Where `pages/blocks.html` has which colour."""

from __future__ import annotations

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
MAGENTA, CYAN, YELLOW, WHITE = (255, 0, 255), (0, 255, 255), (255, 255, 0), (255, 255, 255)

DOCUMENT = (1280, 3000)

# Points well inside each block, next to its edges, and just outside.
VIEWPORT = {
    (2, 2): RED,
    (97, 97): RED,
    (103, 50): WHITE,
    (1183, 2): GREEN,
    (1277, 97): GREEN,
    (1176, 50): WHITE,
    (2, 623): BLUE,
    (97, 717): BLUE,
    (640, 360): WHITE,
}
FULL_PAGE = VIEWPORT | {
    (203, 1503): MAGENTA,
    (497, 1697): MAGENTA,
    (196, 1600): WHITE,
    (300, 1575): CYAN,
    (1183, 2903): YELLOW,
    (1277, 2997): YELLOW,
    (1176, 2950): WHITE,
}
CARD = {(3, 3): MAGENTA, (297, 197): MAGENTA, (53, 53): CYAN, (147, 97): CYAN, (47, 60): MAGENTA}
# The same further from the edges, where formats with coarser colour than brightness still have it right.
CARD_LOSSY = {(20, 20): MAGENTA, (280, 180): MAGENTA, (75, 75): CYAN, (125, 75): CYAN, (25, 75): MAGENTA}
