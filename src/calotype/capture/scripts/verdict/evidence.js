// What a verdict is made from, as far as the page knows it: `markers` are those of verdict/markers.py, `area` is
// {x, y, width, height} in document coordinates, or null for the viewport; `mayBeBlank` asks what else is to be seen;
// `unknown` is a pattern of characters that may have no glyph, and `lookAtGlyphs` is glyphs.js.
// Every capture runs it: what is dear is looked at only when something cheaper asks for it, and not for long.
(markers, area, mayBeBlank, unknown, lookAtGlyphs) => {
  const MOST_TEXT = 4000; // more characters tell nothing more
  const MOST_NODES = 5000;
  const MOST_ELEMENTS = 3000; // of a document whose shadow trees are searched
  const MOST_WORDS = 300000;
  const MOST_MS = 250;
  const LEAST_PX = 4; // smaller is hidden, as texts for screen readers are
  const begun = performance.now();
  const isLate = () => performance.now() - begun > MOST_MS;
  const left = area ? area.x - scrollX : 0;
  const top = area ? area.y - scrollY : 0;
  const right = area ? left + area.width : innerWidth;
  const bottom = area ? top + area.height : innerHeight;

  const isInArea = (box) => box.right > left && box.left < right && box.bottom > top && box.top < bottom;
  const isShown = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true });
  const boxOf = (element) => {
    const box = element.getBoundingClientRect();
    return box.width >= LEAST_PX && box.height >= LEAST_PX && isShown(element) ? box : null;
  };
  const named = (element) => {
    const [id, name] = [element.getAttribute("id"), element.getAttribute("name")];
    const classes = (element.getAttribute("class") ?? "").split(/\s+/).filter(Boolean).slice(0, 2);
    const which = id ? `#${id}` : name ? `[name=${name}]` : classes.map((each) => `.${each}`).join("");
    return (element.localName + which).slice(0, 80);
  };

  const trees = (tree) => {
    const found = [tree];
    for (const { shadowRoot } of tree.querySelectorAll("*")) if (shadowRoot) found.push(...trees(shadowRoot));
    return found;
  };
  const roots = document.getElementsByTagName("*").length <= MOST_ELEMENTS ? trees(document) : [document];
  const each = (selector) => roots.flatMap((tree) => [...tree.querySelectorAll(selector)]);

  // Elements by selectors: ids and names of elements are looked up, the rest costs a walk.
  const find = (selector) => {
    const id = /^#([\w-]+)$/.exec(selector)?.[1];
    if (id) return [document.getElementById(id)].filter(Boolean);
    const name = /^(script|iframe|form|meta)\b/.exec(selector)?.[1];
    if (!name) return each(selector);
    return [...document.getElementsByTagName(name)].filter((element) => element.matches(selector));
  };
  const matching = (selectors) => selectors.flatMap(find);
  const wordsOf = (tree) => ((tree.body ?? tree).textContent ?? "").slice(0, MOST_WORDS);

  // Texts, and the rarer of their characters with the font that they are set in.
  const UNKNOWN = new RegExp(unknown, "u");
  const NO_SHAPE = /[\p{C}\p{Z}\p{M}\u2800\u115f\u1160\u3164\uffa0\u{1f1e6}-\u{1f1ff}]/u;
  const PRIVATE = /\p{Co}|\p{Cn}/u;
  const bucket = (code) => {
    if (code >= 0x3400 && code <= 0x9fff) return "han";
    if (code >= 0xac00 && code <= 0xd7a3) return "hangul";
    return code >= 0x1f000 && code < 0x1fc00 ? "emoji" : code >> 8;
  };
  const samples = new Map(); // by character, the element it is in
  const taken = new Map(); // how many by bucket
  const sample = (text, element) => {
    for (const character of text) {
      if (samples.size >= 40) return;
      const code = character.codePointAt(0);
      const isMark = NO_SHAPE.test(character) && !PRIVATE.test(character);
      if (samples.has(character) || isMark || !UNKNOWN.test(character)) continue;
      const kind = bucket(code);
      const count = taken.get(kind) ?? 0;
      if (count >= (kind === "emoji" ? 16 : 3)) continue;
      taken.set(kind, count + 1);
      samples.set(character, element);
    }
  };

  let text = 0; // visible characters in the area
  let allText = 0; // visible characters of the document
  let nodes = 0;
  let hasRare = false;
  let isCounting = false;
  // Not set in no size, nor moved out of the picture, as texts under a drawn icon are.
  const isDrawn = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    return box.width >= 1 && box.height >= 1 && isInArea(box);
  };
  const readTexts = (tree) => {
    const walker = document.createTreeWalker(tree, NodeFilter.SHOW_TEXT);
    while (walker.nextNode() && nodes < MOST_NODES && !isLate()) {
      nodes += 1;
      const data = walker.currentNode.data.slice(0, MOST_TEXT);
      const isRare = hasRare && samples.size < 40 && UNKNOWN.test(data);
      if (!isRare && (!isCounting || (text && allText >= MOST_TEXT))) continue;
      const letters = data.replace(/\s+/g, "").length;
      const element = walker.currentNode.parentElement ?? tree.host;
      const box = letters && element && boxOf(element);
      if (!box) continue;
      allText += letters;
      if (!isInArea(box)) continue;
      text += letters;
      if (isRare && isDrawn(walker.currentNode)) sample(data, element);
    }
  };

  // The part of the box that its scrollers and frames let through.
  const unclipped = (element, box) => {
    let { left: l, top: t, right: r, bottom: b } = box;
    for (let parent = element.parentElement; parent; parent = parent.parentElement) {
      const style = getComputedStyle(parent);
      if (style.overflow === "visible" || parent === document.body || parent === document.documentElement) continue;
      const clip = parent.getBoundingClientRect();
      [l, t] = [Math.max(l, clip.left), Math.max(t, clip.top)];
      [r, b] = [Math.min(r, clip.right), Math.min(b, clip.bottom)];
    }
    return { left: l, top: t, right: r, bottom: b };
  };
  const isDrawnInArea = (element) => {
    const box = boxOf(element);
    if (!box || box.width < 16 || box.height < 16) return false;
    const seen = unclipped(element, box);
    return seen.right - seen.left >= 16 && seen.bottom - seen.top >= 16 && isInArea(seen);
  };
  const images = each("img");
  const pendingImages = () => {
    const pending = images.filter((image) => {
      const isComing = image.currentSrc || image.src ? !image.complete : !!(image.dataset.src || image.dataset.lazySrc);
      return isComing && isDrawnInArea(image);
    });
    const first = pending[0];
    if (!first) return null;
    const url = first.currentSrc || first.src || first.dataset.src || first.dataset.lazySrc;
    return { count: pending.length, url: String(url ?? "").slice(0, 2000) };
  };

  // What lies on top at a point of the viewport, in open shadow trees, too.
  const topmost = (x, y) => {
    let found = document.elementFromPoint(x, y);
    for (let depth = 0; found?.shadowRoot && depth < 8; depth += 1) {
      const inner = found.shadowRoot.elementFromPoint(x, y);
      if (!inner || inner === found) break;
      found = inner;
    }
    return found;
  };
  const parentOf = (element) => element.parentElement ?? element.getRootNode().host ?? null;

  // Whether a picture, not the page's background, is what there is in the area; or more than a spinner is in it.
  const isPicture = (element) =>
    (element instanceof HTMLImageElement && element.complete && element.naturalWidth > 0) ||
    (element instanceof SVGElement && !(element instanceof SVGSVGElement));
  const fillsWithPicture = () => {
    const shares = [0.1, 0.5, 0.9];
    const found = shares.flatMap((dx) =>
      shares.map((dy) => topmost(left + dx * (right - left), top + dy * (bottom - top))),
    );
    return found.filter((element) => element && isPicture(element)).length >= 5;
  };
  const hasObjects = () => {
    const isLarge = (element) => {
      const box = boxOf(element);
      return !!box && isInArea(box) && Math.max(box.width, box.height) > 64;
    };
    return (
      each("iframe, frame, embed, object, canvas, video, input, textarea, select, button").some(isLarge) ||
      images.some((image) => image.naturalWidth > 0 && isLarge(image))
    );
  };

  const fields = each("input, textarea").filter(
    (field) => !/^(hidden|submit|button|image|reset|checkbox|radio|file|range|color)$/.test(field.type) && boxOf(field),
  );
  const login = () => {
    const password = fields.find((field) => field.type === "password" && isInArea(field.getBoundingClientRect()));
    const name = /user|email|login|account|identifier|phone/i;
    const isIdentifier = ({ type, autocomplete, name: given, id }) =>
      type === "email" || /username|email/.test(autocomplete) || name.test(given + id);
    const identifier = fields.find(isIdentifier);
    const field = password ?? identifier;
    if (!field) return null;
    return {
      password: !!password,
      identifier: !!identifier,
      is_modal: !!password?.closest("dialog:modal, [aria-modal=true]"),
      field: named(field),
    };
  };

  const overlayOf = (element) => {
    for (let at = element, depth = 0; at && depth < 60; at = parentOf(at), depth += 1) {
      if (at === document.body || at === document.documentElement) return null;
      const { position } = getComputedStyle(at);
      const isDialog = at.localName === "dialog" || /dialog/.test(at.getAttribute("role") ?? "");
      if (position === "fixed" || position === "sticky" || isDialog) return at;
    }
    return null;
  };
  const overlays = () => {
    const rows = [0.03, 0.15, 0.27, 0.39, 0.5, 0.61, 0.73, 0.85, 0.97].map((y) => [0.5, y]);
    const points = [...rows, [0.12, 0.5], [0.88, 0.5], [0.12, 0.85], [0.88, 0.85], [0.12, 0.97], [0.88, 0.97]];
    const seen = new Set(points.map(([x, y]) => topmost(x * innerWidth, y * innerHeight)));
    const called = each("[id*=cookie i], [class*=cookie i], [id*=consent i], [class*=consent i]").slice(0, 30);
    const dialogs = each("dialog[open], [role=dialog], [role=alertdialog]");
    return [...new Set([...seen, ...called].map(overlayOf).concat(dialogs).filter(Boolean))];
  };
  const shareOf = (box) => {
    const width = Math.min(box.right, right) - Math.max(box.left, left);
    const height = Math.min(box.bottom, bottom) - Math.max(box.top, top);
    return width > 0 && height > 0 ? (width * height) / (innerWidth * innerHeight) : 0;
  };
  // Of a container without a size: that of the largest of what is positioned in it.
  const largestShare = (element, depth = 4) => {
    const box = isShown(element) && element.getBoundingClientRect();
    const own = box && isInArea(box) ? shareOf(box) : 0;
    if (own || !depth) return own;
    const children = [...element.children, ...(element.shadowRoot?.children ?? [])].slice(0, 20);
    return Math.max(0, ...children.map((child) => largestShare(child, depth - 1)));
  };
  const textOf = (element) => {
    const inner = element.shadowRoot ? [...element.shadowRoot.children].map((child) => child.innerText ?? "") : [];
    return [element.innerText ?? "", ...inner].join(" ").replace(/\s+/g, " ").slice(0, 4000);
  };
  const LEAST_SHARE = 0.015;
  const knownBanner = () => {
    for (const element of matching(markers.consent)) {
      const share = largestShare(element);
      if (share >= LEAST_SHARE) return { selector: named(element), share };
    }
    return null;
  };
  const wordedBanner = () => {
    const [subject, use, accept, weakAccept] = markers.consent_words.map((source) => new RegExp(source, "iu"));
    if (!roots.some((tree) => subject.test(wordsOf(tree)))) return null;
    for (const element of overlays()) {
      const share = largestShare(element);
      const words = share >= LEAST_SHARE ? textOf(element) : "";
      if (words.length < 20 || words.length >= 4000 || !subject.test(words)) continue;
      const controls = [element, element.shadowRoot].flatMap((tree) =>
        tree ? [...tree.querySelectorAll("button, a, [role=button], input[type=button], input[type=submit]")] : [],
      );
      const isAccepting = (control) => {
        const label = (control.innerText || control.value || control.ariaLabel || "").trim();
        if (label.length > 40 || !isShown(control)) return false;
        return accept.test(label) || (weakAccept.test(label) && use.test(words));
      };
      if (controls.slice(0, 60).some(isAccepting)) return { selector: named(element), share };
    }
    return null;
  };

  const challenges = () => {
    const found = [];
    const note = (kind, name, element) => found.push({ kind, name, what: named(element) });
    for (const [name, selectors] of Object.entries(markers.walls))
      for (const element of matching(selectors)) note("wall", name, element);
    for (const [name, selectors] of Object.entries(markers.traces))
      for (const element of matching(selectors)) note("trace", name, element);
    for (const [name, selectors] of Object.entries(markers.widgets)) {
      for (const element of matching(selectors)) {
        const box = boxOf(element);
        const isBadge = !box || box.width < 50 || box.height < 30 || element.closest(".grecaptcha-badge");
        if (!isBadge) note("widget", name, element);
      }
    }
    if (document.scripts.length <= 20) {
      for (const script of document.scripts) {
        const source = script.src ? "" : script.textContent.slice(0, 20000);
        for (const [name, word] of Object.entries(markers.inline))
          if (source.includes(word)) note("wall", name, script);
      }
    }
    return found.slice(0, 5);
  };

  const signs = challenges();
  const form = login();
  hasRare = roots.some((tree) => UNKNOWN.test(wordsOf(tree)));
  isCounting = mayBeBlank || signs.length > 0 || form !== null;
  if (hasRare || isCounting) for (const tree of roots) readTexts(tree);
  return {
    is_image: /^(image|video|audio)\//.test(document.contentType),
    text,
    all_text: allText,
    fields: fields.length,
    links: document.links.length,
    has_picture: mayBeBlank && fillsWithPicture(),
    has_objects: mayBeBlank && hasObjects(),
    pending: pendingImages(),
    glyphs: lookAtGlyphs(samples, isLate),
    login: form,
    consent: knownBanner() ?? wordedBanner(),
    challenges: signs,
  };
}
