// What depends on the page alone: fonts, images in the area, two frames laid out alike. Answers after `limitMs` at the
// latest: what it waits for then, and how long it has waited for each.
// `area` is {x, y, width, height} in document coordinates, or null for the viewport.
async (area, finishAnimations, limitMs) => {
  const MOST_ELEMENTS = 3000; // looked at for the layout: some 2 ms
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

  // Those of open shadow trees included.
  const elements = () => {
    const found = [];
    const walk = (tree) => {
      for (const element of tree.querySelectorAll("*")) {
        found.push(element);
        if (element.shadowRoot) walk(element.shadowRoot);
      }
    };
    walk(document);
    return found;
  };

  const imagesDecoded = () => {
    const decoded = [];
    for (const element of elements()) {
      if (!(element instanceof HTMLImageElement) || !isInArea(element.getBoundingClientRect())) continue;
      if (element.currentSrc) decoded.push(element.decode().catch(() => {}));
    }
    return Promise.all(decoded);
  };

  let thumbnail = null;
  const drawn = (canvas, mix) => {
    thumbnail ??= new OffscreenCanvas(THUMBNAIL_PX, THUMBNAIL_PX).getContext("2d", { willReadFrequently: true });
    thumbnail.imageSmoothingQuality = "high"; // else most of its pixels are not looked at, and thin lines are missed
    thumbnail.clearRect(0, 0, THUMBNAIL_PX, THUMBNAIL_PX);
    try {
      thumbnail.drawImage(canvas, 0, 0, THUMBNAIL_PX, THUMBNAIL_PX);
      for (const value of thumbnail.getImageData(0, 0, THUMBNAIL_PX, THUMBNAIL_PX).data) mix(value);
    } catch {} // of another origin, or without size
  };

  const layout = () => {
    let hash = 0;
    const mix = (value) => (hash = (Math.imul(hash, 31) + value) | 0);
    const mixText = (text) => {
      for (let index = 0; index < text.length && index < 200; index += 1) mix(text.charCodeAt(index));
    };
    const all = elements();
    for (const value of [root.scrollWidth, root.scrollHeight, all.length]) mix(value);
    for (const element of all.slice(0, MOST_ELEMENTS)) {
      const box = element.getBoundingClientRect();
      if (!isInArea(box)) continue;
      for (const value of [box.left, box.top, box.width, box.height]) mix(Math.round(value * 16));
      if (element.hasAttribute("style")) mixText(element.getAttribute("style"));
      if (element.firstChild instanceof Text) mixText(element.firstChild.data);
      if (element instanceof HTMLCanvasElement) drawn(element, mix);
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
    await imagesDecoded();
    next("layout");
    await frame();
    let before = layout();
    while (!isLate) {
      await frame();
      after = layout();
      if (!(finishAnimations && finish()) && before === after) break;
      before = after;
    }
    if (!isLate) next(null);
  };
  await Promise.race([work(), new Promise((resolve) => setTimeout(resolve, limitMs))]);
  isLate = true;
  if (waiting) waits[waiting] += performance.now() - since;
  return { waiting, waits, layout: after };
}
