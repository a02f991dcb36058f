// Makes the document as high as what can be scrolled to in it. An app shell, one screen high with a scroller inside,
// becomes as high as the scroller's content; what waits for a reader to come near is told to come now.
// Answers how many CSS pixels are still hidden in a shell that does not unfold, and how many scrollers did.
(mayLoad) => {
  const MOST_ROUNDS = 5; // scrollers in scrollers
  const SHARE = 0.25; // of the viewport: what is smaller is a box in a page, not the page
  const root = document.documentElement;
  globalThis.calotypeScrollers = []; // that are told of scrolling they will not do any more
  if (!root) return { hidden: 0, unfolded: 0 };

  const everything = function* (tree) {
    for (const element of tree.querySelectorAll("*")) {
      yield element;
      if (element.shadowRoot) yield* everything(element.shadowRoot);
    }
  };
  const parentOf = (element) => element.assignedSlot ?? element.parentElement ?? element.getRootNode().host ?? null;
  const hiddenPx = (element) => element.scrollHeight - element.clientHeight;
  const documentScrolls = () => (document.scrollingElement ?? root).scrollHeight - innerHeight > 1;
  const scrolls = (element) => {
    const { overflowY } = getComputedStyle(element);
    return /auto|scroll|overlay/.test(overflowY) || (element === document.body && overflowY === "hidden");
  };
  const isShell = (element) =>
    hiddenPx(element) > 8 &&
    element.clientWidth * element.clientHeight >= SHARE * innerWidth * innerHeight &&
    !(element instanceof HTMLTextAreaElement) &&
    scrolls(element);

  const changed = new Map();
  const set = (element, values) => {
    if (!changed.has(element)) changed.set(element, element.getAttribute("style"));
    for (const [name, value] of Object.entries(values)) element.style.setProperty(name, value, "important");
  };
  const restore = () => {
    for (const [element, style] of changed)
      style === null ? element.removeAttribute("style") : element.setAttribute("style", style);
  };

  const unfold = (scroller) => {
    const path = [];
    for (let element = scroller; element; element = parentOf(element)) path.push(element);
    const heights = path.map((element) => element.getBoundingClientRect().height);
    path.forEach((element, index) => {
      const { position } = getComputedStyle(element);
      const parent = parentOf(element);
      const around = parent && getComputedStyle(parent);
      const values = {
        height: "auto",
        "max-height": "none",
        "min-height": `${heights[index]}px`,
        "overflow-x": "clip",
        "overflow-y": "visible",
        contain: "none",
      };
      if (element === root || element === document.body) values["overflow-x"] = "visible";
      if (position === "fixed") values.position = "absolute";
      if (position === "fixed" || position === "absolute") values.bottom = "auto";
      if (around?.display.includes("flex") && around.flexDirection.startsWith("column")) values.flex = "0 0 auto";
      set(element, values);
    });
    // What is positioned does not make those around it higher.
    let end = scroller.getBoundingClientRect().bottom;
    for (const element of path.slice(1)) {
      const { top, bottom } = element.getBoundingClientRect();
      if (bottom < end) set(element, { "min-height": `${end - top}px`, "box-sizing": "border-box" });
      end = Math.max(end, bottom);
    }
  };

  let hidden = 0;
  for (let round = 0; round < MOST_ROUNDS && !documentScrolls(); round += 1) {
    const shells = [...everything(document)].filter(isShell);
    if (!shells.length) break;
    const area = (element) => element.clientWidth * element.clientHeight;
    const scroller = shells.reduce((most, element) => (area(element) > area(most) ? element : most));
    hidden = hiddenPx(scroller);
    unfold(scroller);
    const unfolded = scroller.getBoundingClientRect();
    if (root.scrollHeight >= unfolded.bottom + scrollY - 1 && hiddenPx(scroller) <= 1) {
      hidden = 0;
      globalThis.calotypeScrollers.push(scroller);
    } else {
      restore();
      break;
    }
  }

  if (mayLoad) {
    const elements = [...everything(document)];
    for (const element of elements) if (element.loading === "lazy") element.loading = "eager";
    // All are read before any is written: each write would have the next read lay out again.
    const unseen = elements.filter((element) => getComputedStyle(element).contentVisibility === "auto");
    for (const element of unseen) element.style.setProperty("content-visibility", "visible", "important");
  }
  return { hidden, unfolded: globalThis.calotypeScrollers.length };
}
