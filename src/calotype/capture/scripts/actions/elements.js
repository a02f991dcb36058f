// What the steps of `actions` need to know of a frame's elements. Kept as one object in our isolated world of the frame,
// so that `held` is the same element from one call to the next.
() => {
  const TRIES = ["nearest", "center", "end", "start"]; // sticky headers and footers cover some of these
  const SET_BY_VALUE = ["color", "date", "datetime-local", "month", "range", "time", "week"];
  const NOT_TYPED = ["button", "checkbox", "file", "hidden", "image", "radio", "reset", "submit"];
  const CLICKABLE = "button, a, label, [role=button], [role=link]";
  const POINTER = ["pointerdown", "mousedown", "pointerup", "mouseup", "click", "auxclick", "contextmenu"];
  let held = null;

  // A frame that is not drawn has no animation frames.
  const frame = () =>
    new Promise((resolve) => {
      const late = setTimeout(resolve, 100);
      requestAnimationFrame(() => {
        clearTimeout(late);
        resolve();
      });
    });
  const parentOf = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host ?? null;
  const contains = (outer, inner) => {
    for (let node = inner; node; node = parentOf(node)) if (node === outer) return true;
    return false;
  };
  const isVisible = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.height > 0 && getComputedStyle(element).visibility === "visible";
  };
  const describe = (element) => {
    const attributes = ["id", "class"].map((name) => [name, element.getAttribute(name)]);
    const told = attributes.filter(([, value]) => value).map(([name, value]) => ` ${name}="${value.slice(0, 40)}"`);
    return `<${element.localName.slice(0, 40)}${told.join("")}>`;
  };

  // The document's matches, then those of its open shadow trees.
  const matches = function* (root, selector) {
    yield* root.querySelectorAll(selector);
    for (const element of root.querySelectorAll("*"))
      if (element.shadowRoot) yield* matches(element.shadowRoot, selector);
  };
  const first = (selector) => {
    let match = null;
    for (const element of matches(document, selector)) {
      if (isVisible(element)) return element;
      match ??= element;
    }
    return match;
  };

  const hitAt = (x, y) => {
    let hit = document.elementFromPoint(x, y);
    while (hit?.shadowRoot) {
      const inner = hit.shadowRoot.elementFromPoint(x, y);
      if (!inner || inner === hit) break;
      hit = inner;
    }
    return hit;
  };
  const receives = (element, hit) => {
    if (!hit) return false;
    const clickable = element.closest(CLICKABLE);
    return contains(element, hit) || (clickable && contains(clickable, hit)) || hit.closest("label")?.control === element;
  };
  const coverOf = (element, hit) => {
    let cover = hit;
    for (let up = hit; up && !contains(up, element); up = parentOf(up)) cover = up;
    return `it is covered by ${describe(cover)}`;
  };
  const labelOf = (element) => [...(element.labels ?? [])].find(isVisible) ?? null;

  const bringIntoView = (element, attempt) => {
    const box = element.getBoundingClientRect();
    const inside = box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth;
    if (attempt % TRIES.length || !inside) {
      const block = TRIES[attempt % TRIES.length];
      element.scrollIntoView({ block, inline: "nearest", behavior: "instant" });
    }
  };
  // The middle of the largest part that is in the viewport; a link may be broken over lines.
  const pointOf = (element) => {
    let point = null;
    let largest = 0;
    for (const box of element.getClientRects()) {
      const [left, top] = [Math.max(box.left, 0), Math.max(box.top, 0)];
      const [right, bottom] = [Math.min(box.right, innerWidth), Math.min(box.bottom, innerHeight)];
      const size = Math.max(right - left, 0) * Math.max(bottom - top, 0);
      if (size > largest) [largest, point] = [size, { x: (left + right) / 2, y: (top + bottom) / 2 }];
    }
    return point;
  };
  const isDisabled = (element) => element.matches(":disabled") || !!element.closest("[aria-disabled=true]");
  const isEditable = (element) =>
    element.isContentEditable ||
    element instanceof HTMLTextAreaElement ||
    (element instanceof HTMLInputElement && !NOT_TYPED.includes(element.type));

  const waiting = (reason) => ({ state: "waiting", reason });
  const failed = (reason) => ({ state: "failed", reason });

  // The box itself, or its label when the box is hidden behind something prettier.
  const boxOf = (element) => (element.localName === "label" && element.control) || element;
  const isBox = (element) =>
    (element instanceof HTMLInputElement && ["checkbox", "radio"].includes(element.type)) ||
    ["checkbox", "radio", "switch", "menuitemcheckbox", "menuitemradio"].includes(element.getAttribute("role"));
  const isChecked = (element) =>
    element instanceof HTMLInputElement ? element.checked : element.getAttribute("aria-checked") === "true";

  const stable = async (element) => {
    const place = () => {
      const box = element.getBoundingClientRect();
      return [box.x, box.y, box.width, box.height].join();
    };
    await frame();
    const before = place();
    await frame();
    return element.isConnected && place() === before;
  };
  // Hold the element and say where to point at it, or why it can't be pointed at yet.
  const point = async (element, attempt, enabled) => {
    if (!isVisible(element)) return waiting("it is hidden");
    bringIntoView(element, attempt);
    if (!(await stable(element))) return waiting("it moves, or was removed meanwhile");
    if (enabled && isDisabled(element)) return waiting("it is disabled");
    const at = pointOf(element);
    if (!at) return waiting("it is outside of the viewport");
    const hit = hitAt(at.x, at.y);
    if (!receives(element, hit)) return waiting(hit ? coverOf(element, hit) : "nothing is there that takes the click");
    held = element;
    return { state: "ready", ...at };
  };
  const found = (selector) => {
    try {
      return first(selector);
    } catch {
      return undefined; // no selector
    }
  };

  const probes = {
    click: (element, attempt) => point(element, attempt, true),
    hover: (element, attempt) => point(element, attempt, false),
    async scroll(element) {
      element.scrollIntoView({ block: "center", inline: "nearest", behavior: "instant" });
      return (await stable(element)) ? { state: "ready" } : waiting("it moves, or was removed meanwhile");
    },
    focus(element) {
      element.focus();
      return { state: "ready" };
    },
    type(element) {
      const field = boxOf(element);
      if (!isVisible(field)) return waiting("it is hidden");
      if (isDisabled(field)) return waiting("it is disabled");
      if (field.readOnly) return waiting("it is read-only");
      if (!isEditable(field)) return failed(`${describe(field)} is no field that takes text`);
      field.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
      field.focus();
      held = field;
      if (field instanceof HTMLInputElement && SET_BY_VALUE.includes(field.type)) return { state: "ready", set: true };
      if (field.select) field.select();
      else getSelection().selectAllChildren(field);
      return { state: "ready" };
    },
    select(element, attempt, values) {
      const list = boxOf(element);
      if (!(list instanceof HTMLSelectElement)) return failed(`${describe(list)} is no list of options`);
      if (!isVisible(list)) return waiting("it is hidden");
      if (isDisabled(list)) return waiting("it is disabled");
      if (values.length > 1 && !list.multiple) return failed("it takes one value only");
      const options = [...list.options];
      const chosen = [];
      for (const value of values) {
        const text = value.trim();
        const option = options.find((each) => each.value === value) ?? options.find((each) => each.label.trim() === text);
        if (!option) return waiting("it has no such option");
        if (isDisabled(option)) return waiting("the option is disabled");
        chosen.push(option);
      }
      list.focus();
      for (const option of options) option.selected = chosen.includes(option);
      list.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
      list.dispatchEvent(new Event("change", { bubbles: true }));
      return { state: "ready" };
    },
    async check(element, attempt, wanted) {
      const box = boxOf(element);
      if (!isBox(box)) return failed(`${describe(box)} is no check box and no radio button`);
      if (isChecked(box) === wanted) return { state: "done" };
      if (!wanted && box.type === "radio") return failed("a radio button loses its tick only to another one");
      if (isDisabled(box)) return waiting("it is disabled");
      const label = labelOf(box);
      const place = isVisible(box) ? box : (label ?? box);
      const at = await point(place, attempt, true);
      return at.state === "waiting" && label && place === box ? point(label, attempt, true) : at;
    },
  };

  let guard = null;
  return {
    // `state`: ready, waiting, failed, done, missing (no match) or invalid (no selector).
    async probe(kind, selector, attempt, argument) {
      const element = found(selector);
      if (element === undefined) return { state: "invalid" };
      if (element === null) return { state: "missing" };
      return probes[kind](element, attempt, argument);
    },
    isChecked: (selector) => {
      const element = found(selector);
      return element ? isChecked(boxOf(element)) : null;
    },
    seen(selector) {
      const element = found(selector);
      if (element === undefined) return "invalid";
      return element === null ? "detached" : isVisible(element) ? "visible" : "hidden";
    },
    // From now until `unguard`, pointer events that would meet anything but the held element are kept from the page.
    guard() {
      this.unguard();
      const verdict = { met: null };
      const watch = (event) => {
        if (!event.isTrusted) return;
        const hit = event.composedPath()[0];
        verdict.met ??= receives(held, hit instanceof Element ? hit : null);
        if (verdict.met) return;
        event.preventDefault();
        event.stopImmediatePropagation();
      };
      for (const name of POINTER) addEventListener(name, watch, { capture: true, passive: false });
      guard = { verdict, watch };
    },
    unguard() {
      if (!guard) return null;
      for (const name of POINTER) removeEventListener(name, guard.watch, { capture: true });
      const { met } = guard.verdict;
      guard = null;
      return met;
    },
    setValue(text) {
      held.value = text;
      const taken = text === "" || held.value.toLowerCase() === text.toLowerCase();
      held.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
      held.dispatchEvent(new Event("change", { bubbles: true }));
      return taken;
    },
    // Whether keys would be written somewhere in this frame: "frame" if one inside it has the focus.
    focused() {
      let element = document.activeElement;
      while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
      if (element instanceof HTMLIFrameElement) return "frame";
      return element && isEditable(element) && !element.readOnly && !isDisabled(element) ? "field" : "none";
    },
    // A point of the frame that `owner` shows, as a point of this one; null if something covers it.
    through(owner, x, y) {
      const box = owner.getBoundingClientRect();
      const style = getComputedStyle(owner);
      const [wide, high] = [box.width / (owner.offsetWidth || 1), box.height / (owner.offsetHeight || 1)];
      const left = owner.clientLeft + parseFloat(style.paddingLeft);
      const top = owner.clientTop + parseFloat(style.paddingTop);
      const at = { x: box.x + (left + x) * wide, y: box.y + (top + y) * high };
      const hit = hitAt(at.x, at.y);
      if (hit === owner) return at;
      return { reason: hit ? coverOf(owner, hit) : "its frame is outside of the viewport" };
    },
    // A point as DevTools takes it: in CSS pixels from the corner of what is shown, however large that shows them.
    inView: (x, y) => ({ x: x - visualViewport.offsetLeft, y: y - visualViewport.offsetTop }),
  };
};
