// What depends on the page alone: fonts, images in the area, two frames laid out alike. Answers after `limitMs` at the
// latest: what it waits for then, and how long it has waited for each.
// `area` is {x, y, width, height} in document coordinates, or null for the viewport.
async (area, finishAnimations, limitMs) => {
  const MOST_ELEMENTS = 2000; // looked at for the layout: some 2 ms
  const EMPTY_CANVAS_MS = 150; // chart libraries begin with some frames in which there is nothing
  const MOVING_MS = 40; // frames of a busy page may come closer together than the steps of what it draws
  const THUMBNAIL_PX = 64; // of a canvas: enough to see that it is being drawn
  const root = document.documentElement;
  const waits = { fonts: 0, images: 0, layout: 0 };
  if (!root) return { waiting: null, waits, layout: 0 };

  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const left = area ? area.x - scrollX : 0;
  const top = area ? area.y - scrollY : 0;
  const right = area ? left + area.width : innerWidth;
  const bottom = area ? top + area.height : innerHeight;
  const isInArea = (box) => box.right > left && box.left < right && box.bottom > top && box.top < bottom;

  const finish = () => {
    let found = 0;
    for (const animation of document.getAnimations()) {
      // One that is paused, or driven by scrolling, looks as it will look.
      if (animation.playState !== "running" || animation.timeline !== document.timeline) continue;
      const end = animation.effect?.getComputedTiming().endTime;
      try {
        if (Number.isFinite(end)) animation.finish();
        else animation.cancel(); // the look without it, the same each time
        found += 1;
      } catch {}
    }
    return found;
  };

  // The document and its open shadow trees. What can have one (DOM, "valid shadow host name") is found by name: a look
  // at every element makes an object of each, 10 ms for a large table.
  const all = document.getElementsByTagName("*"); // live
  const HOSTS = "article,aside,blockquote,body,div,footer,h1,h2,h3,h4,h5,h6,header,main,nav,p,section,span";
  const CUSTOM = "//*[contains(local-name(), '-')]";
  const hosts = () => {
    const custom = document.evaluate(CUSTOM, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE);
    const found = [...document.querySelectorAll(HOSTS)];
    for (let index = 0; index < custom.snapshotLength; index += 1) found.push(custom.snapshotItem(index));
    return found;
  };
  const trees = (tree, elements) => {
    const found = [tree];
    for (const { shadowRoot } of elements)
      if (shadowRoot) found.push(...trees(shadowRoot, shadowRoot.querySelectorAll("*")));
    return found;
  };

  const imagesDecoded = (roots) => {
    const decoded = [];
    for (const tree of roots) {
      for (const image of tree.querySelectorAll("img"))
        if (image.currentSrc && isInArea(image.getBoundingClientRect())) decoded.push(image.decode().catch(() => {}));
    }
    return Promise.all(decoded);
  };

  let hash = 0;
  let hasEmptyCanvas = false;
  let mayMove = false;
  const mix = (value) => (hash = (Math.imul(hash, 31) + value) | 0);
  const mixText = (text) => {
    for (let index = 0; index < text.length && index < 200; index += 1) mix(text.charCodeAt(index));
  };

  let thumbnail = null;
  const mixDrawn = (canvas) => {
    mayMove = true;
    thumbnail ??= new OffscreenCanvas(THUMBNAIL_PX, THUMBNAIL_PX).getContext("2d", { willReadFrequently: true });
    thumbnail.imageSmoothingQuality = "high"; // else most of its pixels are not looked at, and thin lines are missed
    thumbnail.clearRect(0, 0, THUMBNAIL_PX, THUMBNAIL_PX);
    try {
      thumbnail.drawImage(canvas, 0, 0, THUMBNAIL_PX, THUMBNAIL_PX);
      const { data } = thumbnail.getImageData(0, 0, THUMBNAIL_PX, THUMBNAIL_PX);
      const pixels = new Uint32Array(data.buffer);
      for (const value of pixels) mix(value);
      hasEmptyCanvas ||= pixels.every((value) => value === 0);
    } catch {} // of another origin, or without size
  };

  const mixElement = (element) => {
    const box = element.getBoundingClientRect();
    if (!isInArea(box)) return;
    for (const value of [box.left, box.top, box.width, box.height]) mix(Math.round(value * 16));
    if (element.hasAttribute("style")) mixText(element.getAttribute("style"));
    if (element.firstChild instanceof Text) mixText(element.firstChild.data);
    if (element instanceof HTMLCanvasElement) mixDrawn(element);
  };

  const layout = (roots) => {
    [hash, hasEmptyCanvas] = [0, false];
    for (const value of [root.scrollWidth, root.scrollHeight, all.length]) mix(value);
    let remaining = MOST_ELEMENTS;
    for (const tree of roots) {
      const elements = tree === document ? all : tree.querySelectorAll("*");
      const most = Math.min(elements.length, remaining);
      for (let index = 0; index < most; index += 1) mixElement(elements[index]);
      remaining -= most;
    }
    return hash;
  };

  let waiting = "fonts";
  let since = performance.now();
  const next = (name) => {
    const now = performance.now();
    waits[waiting] += now - since;
    [waiting, since] = [name, now];
  };
  let isLate = false;
  let after = 0;
  const work = async () => {
    if (finishAnimations) finish();
    root.getBoundingClientRect(); // a font is asked for when a text is laid out in it
    await document.fonts?.ready;
    next("images");
    const roots = trees(document, hosts());
    await imagesDecoded(roots);
    next("layout");
    await frame();
    let before = layout(roots);
    let alikeSince = performance.now();
    while (!isLate) {
      await frame();
      after = layout(roots);
      const now = performance.now();
      if ((finishAnimations && finish()) || before !== after) {
        alikeSince = now;
        mayMove = true;
      } else if (now - alikeSince >= (hasEmptyCanvas ? EMPTY_CANVAS_MS : mayMove ? MOVING_MS : 0)) break;
      before = after;
    }
    if (!isLate) next(null);
  };
  await Promise.race([work(), new Promise((resolve) => setTimeout(resolve, limitMs))]);
  isLate = true;
  if (waiting) waits[waiting] += performance.now() - since;
  return { waiting, waits, layout: after };
}
