// What can be clicked, chosen or typed into, as far as the picture shows it: role, name, a selector, its box in pixels.
// `area` is {x, y, width, height} in document coordinates, or null for the viewport; `scale` is pixels for each of CSS's.
(area, scale) => {
  const MOST = 300;
  const MOST_LOOKED_AT = 5000;
  const MOST_TREES = 200;
  const CHARS = 200;
  const LEAST_PX = 3;
  const USABLE =
    "a[href], area[href], button, input:not([type=hidden]), select, textarea, summary, [contenteditable=''], " +
    "[contenteditable=true], [onclick], [tabindex]:not([tabindex^='-']), [role=button], [role=link], [role=checkbox], " +
    "[role=radio], [role=tab], [role=menuitem], [role=option], [role=switch], [role=combobox], [role=textbox], " +
    "[role=searchbox], [role=slider]";
  // A phone shows pages that are not made for it smaller than CSS pixels are; a picture of an area of the document is not.
  const view = visualViewport;
  const ratio = area ? scale : scale * view.scale;
  // From right to left, scrolling begins at the document's right edge; pictures count from the left one.
  const { scrollWidth, clientWidth } = document.documentElement;
  const start = getComputedStyle(document.body ?? document.documentElement).direction === "rtl" ? clientWidth - scrollWidth : 0;
  const [left, top] = area ? [area.x + start - scrollX, area.y - scrollY] : [];
  const shown = area
    ? { left, top, right: left + area.width, bottom: top + area.height }
    : { left: view.offsetLeft, top: view.offsetTop, right: view.offsetLeft + view.width, bottom: view.offsetTop + view.height };

  const parentOf = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host ?? null;
  const contains = (outer, inner) => {
    for (let node = inner; node; node = parentOf(node)) if (node === outer) return true;
    return false;
  };
  const common = (one, other) => ({
    left: Math.max(one.left, other.left),
    top: Math.max(one.top, other.top),
    right: Math.min(one.right, other.right),
    bottom: Math.min(one.bottom, other.bottom),
  });
  const isTooSmall = (box) => !(box.right - box.left >= LEAST_PX && box.bottom - box.top >= LEAST_PX);

  // The trees to look through: the document, its open shadow trees, its frames as far as their origin lets us. Each has the
  // place of its viewport in the document's, and what of that is not cut off.
  const trees = [];
  const addTree = (root, place) => {
    if (trees.length >= MOST_TREES) return;
    const tree = { root, ...place };
    trees.push(tree);
    for (const element of [...root.querySelectorAll("*")].slice(0, MOST_LOOKED_AT)) {
      if (element.shadowRoot) addTree(element.shadowRoot, place);
      else if (element.localName === "iframe") addFrame(element, tree);
    }
  };
  const addFrame = (frame, tree) => {
    const root = frame.contentDocument;
    const box = frame.getBoundingClientRect();
    const isTurned = Math.abs(box.width - frame.offsetWidth) > 1 || Math.abs(box.height - frame.offsetHeight) > 1;
    if (!root?.documentElement || isTurned || !isVisible(frame)) return;
    const style = getComputedStyle(frame);
    const x = tree.x + box.x + frame.clientLeft + parseFloat(style.paddingLeft);
    const y = tree.y + box.y + frame.clientTop + parseFloat(style.paddingTop);
    const right = tree.x + box.right - parseFloat(style.paddingRight);
    const bottom = tree.y + box.bottom - parseFloat(style.paddingBottom);
    const inside = common(moved(uncut(frame), tree), { left: x, top: y, right, bottom });
    addTree(root, { document: root, x, y, clip: common(inside, tree.clip), frame, outer: tree });
  };
  const moved = (box, { x, y }) => ({ left: box.left + x, top: box.top + y, right: box.right + x, bottom: box.bottom + y });

  const isVisible = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true });

  const union = (boxes) =>
    boxes.reduce((one, other) => ({
      left: Math.min(one.left, other.left),
      top: Math.min(one.top, other.top),
      right: Math.max(one.right, other.right),
      bottom: Math.max(one.bottom, other.bottom),
    }));
  // A link's own box is one line high around an image, and as wide as its paragraph around a block.
  const boxOf = (element) => {
    const own = element.getBoundingClientRect();
    if (!element.firstElementChild || getComputedStyle(element).display !== "inline") return own;
    const range = element.ownerDocument.createRange();
    range.selectNodeContents(element);
    const inner = [...range.getClientRects()].filter((box) => box.width && box.height);
    if (!inner.length) return own;
    const hasBlock = [...element.children].some((child) => !/^(inline|none|contents)/.test(getComputedStyle(child).display));
    return union(hasBlock ? inner : [own, ...inner]);
  };
  // What ancestors that scroll or hide leave of it. Those between an element and its containing block do not cut it.
  const uncut = (element) => {
    let { left, top, right, bottom } = boxOf(element);
    let { position } = getComputedStyle(element);
    for (let at = parentOf(element); at && !["body", "html"].includes(at.localName); at = parentOf(at)) {
      const style = getComputedStyle(at);
      const holdsFixed = style.transform !== "none" || style.filter !== "none" || style.perspective !== "none";
      if (position === "fixed" && !holdsFixed) continue;
      if (position === "absolute" && style.position === "static" && !holdsFixed) continue;
      position = style.position;
      if (["inline", "contents"].includes(style.display)) continue;
      const box = at.getBoundingClientRect();
      if (style.overflowX !== "visible") [left, right] = [Math.max(left, box.left), Math.min(right, box.right)];
      if (style.overflowY !== "visible") [top, bottom] = [Math.max(top, box.top), Math.min(bottom, box.bottom)];
    }
    return { left, top, right, bottom };
  };

  // Whether something else lies over it, as far as the viewport reaches.
  const isHit = (element, tree, x, y) => {
    let hit = tree.document.elementFromPoint(x - tree.x, y - tree.y);
    if (!hit) return null;
    while (hit.shadowRoot) {
      const inner = hit.shadowRoot.elementFromPoint(x - tree.x, y - tree.y);
      if (!inner || inner === hit) break;
      hit = inner;
    }
    if (!contains(element, hit) && hit.closest("label")?.control !== element) return false;
    return tree.frame ? isHit(tree.frame, tree.outer, x, y) : true;
  };
  const isCovered = (element, tree, box) => {
    if (element.localName === "area") return false;
    const hits = [[2, 2], [1, 1], [3, 1], [1, 3], [3, 3]].map(([across, down]) =>
      isHit(element, tree, box.left + ((box.right - box.left) * across) / 4, box.top + ((box.bottom - box.top) * down) / 4),
    );
    return hits.includes(false) && !hits.includes(true) && !hits.includes(null);
  };

  const INPUT_ROLES = { button: "button", submit: "button", reset: "button", image: "button", checkbox: "checkbox", radio: "radio", range: "slider", number: "spinbutton", search: "searchbox", file: "button", color: "button" };
  const roleOf = (element) => {
    const told = element.getAttribute("role")?.trim().split(/\s+/)[0];
    if (told) return told;
    switch (element.localName) {
      case "a":
      case "area":
        return "link";
      case "input":
        return INPUT_ROLES[element.type] ?? "textbox";
      case "select":
        return element.multiple || element.size > 1 ? "listbox" : "combobox";
      case "textarea":
        return "textbox";
      default:
        return element.isContentEditable ? "textbox" : "button";
    }
  };

  const tidy = (text) => (text ?? "").replace(/\s+/g, " ").trim().slice(0, CHARS);
  const textOf = (element) => tidy(element?.innerText) || tidy(element?.querySelector?.("img[alt]")?.alt) || tidy(element?.querySelector?.("svg title")?.textContent);
  const nameOf = (element) => {
    const by = element.getAttribute("aria-labelledby")?.split(/\s+/).map((id) => textOf(element.getRootNode().getElementById?.(id))).join(" ");
    const labels = [...(element.labels ?? [])].map(textOf).join(" ");
    const isButton = element.localName === "input" && ["button", "submit", "reset"].includes(element.type);
    return (
      tidy(by) || tidy(element.getAttribute("aria-label")) || tidy(labels) || (isButton ? tidy(element.value) : "") ||
      tidy(element.getAttribute("alt")) || (element.matches("input, select, textarea") ? "" : textOf(element)) ||
      tidy(element.getAttribute("placeholder")) || tidy(element.getAttribute("title")) || tidy(element.getAttribute("name"))
    );
  };
  const valueOf = (element) => {
    if (element.localName === "select") return tidy([...element.selectedOptions].map(({ label }) => label).join(", "));
    if (element.localName === "textarea") return tidy(element.value);
    if (element.localName !== "input" || element.type === "password") return null;
    if (element.type === "checkbox" || element.type === "radio") return element.checked ? "on" : "off";
    return INPUT_ROLES[element.type] === "button" ? null : tidy(element.value);
  };

  // As `actions` look for it: in the document and its shadow trees, and only then in frames.
  const isOnly = (selector, element, tree) => {
    const found = trees
      .filter((other) => tree.frame || other.document === document)
      .flatMap(({ root }) => [...root.querySelectorAll(selector)]);
    return found.length === 1 && found[0] === element;
  };
  const selectorOf = (element, tree) => {
    const steps = [];
    for (let at = element; at && at !== tree.document.documentElement; at = at.parentElement) {
      const id = at.id && `#${CSS.escape(at.id)}`;
      if (id && isOnly(id, at, tree)) {
        steps.unshift(id);
        break;
      }
      for (const name of at === element ? ["data-testid", "name", "aria-label", "href"] : []) {
        const value = at.getAttribute(name);
        const short = value && value.length <= 100 && `${at.localName}[${name}=${JSON.stringify(value)}]`;
        if (short && !/[\\\n]/.test(value) && isOnly(short, at, tree)) return short;
      }
      const alike = at.parentElement ? [...at.parentElement.children].filter((each) => each.localName === at.localName) : [at];
      steps.unshift(CSS.escape(at.localName) + (alike.length > 1 ? `:nth-of-type(${alike.indexOf(at) + 1})` : ""));
    }
    const path = steps.join(" > ");
    return tree.root === document || isOnly(path, element, tree) ? path : null;
  };

  addTree(document, { document, x: 0, y: 0, clip: shown, frame: null, outer: null });
  const found = [];
  for (const tree of trees) {
    for (const element of [...tree.root.querySelectorAll(USABLE)].slice(0, MOST_LOOKED_AT)) {
      if (found.length >= MOST) break;
      if (element.disabled || element.closest("[inert], [aria-hidden=true]") || !isVisible(element)) continue;
      const box = moved(uncut(element), tree);
      const seen = common(box, tree.clip);
      if (isTooSmall(box) || seen.right <= seen.left || seen.bottom <= seen.top || isCovered(element, tree, seen)) continue;
      const x = Math.round((box.left - shown.left) * ratio);
      const y = Math.round((box.top - shown.top) * ratio);
      const width = Math.round((box.right - shown.left) * ratio) - x;
      const height = Math.round((box.bottom - shown.top) * ratio) - y;
      found.push({ role: roleOf(element), name: nameOf(element), value: valueOf(element), selector: selectorOf(element, tree), box: { x, y, width, height } });
    }
  }
  return found.sort((one, other) => one.box.y - other.box.y || one.box.x - other.box.x);
}
