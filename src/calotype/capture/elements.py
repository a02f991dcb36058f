"""Where the elements of a page are in the picture that its capture gives."""

from __future__ import annotations

from collections.abc import Sequence

from calotype.capture.encode import Fit
from calotype.capture.result import Box, Element


def in_fit(elements: Sequence[Element], fit: Fit, size: tuple[int, int]) -> list[Element]:
    """Move those of a picture of `size` to where they are once it is fitted; those cut off are left out."""
    across, down = fit.scaled[0] / size[0], fit.scaled[1] / size[1]
    placed: list[Element] = []
    for element in elements:
        box = element.box
        left, top = round(box.x * across) - fit.left, round(box.y * down)
        right = round((box.x + box.width) * across) - fit.left
        bottom = round((box.y + box.height) * down)
        if right > 0 and bottom > 0 and left < fit.size[0] and top < fit.size[1]:
            moved = Box(x=left, y=top, width=max(1, right - left), height=max(1, bottom - top))
            placed.append(element.model_copy(update={"box": moved}))
    return placed
