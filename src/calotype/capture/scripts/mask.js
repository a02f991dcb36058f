// Covers what matches the selectors, and all that is in it, above everything else on the page. Answers how many elements
// match each; null where it is no selector.
(selectors) => {
  const COLOUR = "#000000";
  globalThis.calotypeMask?.remove(); // of a picture that was not taken
  const layer = document.createElement("div");
  globalThis.calotypeMask = layer;
  const style = (element, values) => {
    for (const [name, value] of Object.entries(values)) element.style.setProperty(name, value, "important");
  };
  style(layer, { all: "initial", position: "absolute", inset: "auto", left: "0", top: "0", width: "0", height: "0", overflow: "visible", "z-index": "2147483647" });
  const inner = layer.attachShadow({ mode: "closed" });
  const cover = ({ left, top, right, bottom }) => {
    const [x, y] = [Math.floor(left + scrollX), Math.floor(top + scrollY)];
    const [width, height] = [Math.ceil(right + scrollX) - x, Math.ceil(bottom + scrollY) - y];
    const place = { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` };
    style(inner.appendChild(document.createElement("div")), { all: "initial", position: "absolute", ...place, background: COLOUR });
  };
  const isSeen = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const counts = selectors.map((selector) => {
    try {
      const matches = document.querySelectorAll(selector);
      for (const element of matches) {
        const box = element.getBoundingClientRect();
        if (box.width && box.height) cover(box);
        for (const part of element.querySelectorAll("*")) {
          const { left, top, right, bottom, width, height } = part.getBoundingClientRect();
          const isInside = left >= box.left && top >= box.top && right <= box.right && bottom <= box.bottom;
          if (width && height && !isInside && isSeen(part)) cover({ left, top, right, bottom });
        }
      }
      return matches.length;
    } catch {
      return null;
    }
  });
  if (!inner.childElementCount) return counts;
  document.documentElement.append(layer);
  // In the top layer it is above open dialogs, too; what is absolute there is so from the document's beginning.
  layer.popover = "manual";
  style(layer, { border: "0", padding: "0", margin: "0", background: "none", display: "block" });
  layer.showPopover();
  return counts;
}
