// Resolves when what depends on the page alone is ready: fonts, images in the area, two frames laid out alike.
// `area` is {x, y, width, height} in document coordinates, or null for the viewport.
async (area, finishAnimations) => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const root = document.documentElement;
  if (!root) return { stable: true, layout: "" };

  if (finishAnimations) {
    for (const animation of document.getAnimations()) {
      const end = animation.effect?.getComputedTiming().endTime;
      try {
        if (Number.isFinite(end)) animation.finish();
        else animation.cancel(); // the look without it, the same each time
      } catch {}
    }
  }

  await document.fonts?.ready;

  const left = area ? area.x - scrollX : 0;
  const top = area ? area.y - scrollY : 0;
  const right = area ? left + area.width : innerWidth;
  const bottom = area ? top + area.height : innerHeight;
  const decoded = [];
  for (const image of document.images) {
    const box = image.getBoundingClientRect();
    const visible = box.right > left && box.left < right && box.bottom > top && box.top < bottom;
    if (visible && image.currentSrc) decoded.push(image.decode().catch(() => {}));
  }
  await Promise.all(decoded);

  const layout = () =>
    [root.scrollWidth, root.scrollHeight, document.getElementsByTagName("*").length, document.images.length].join();
  await frame();
  const before = layout();
  await frame();
  const after = layout();
  return { stable: before === after, layout: after };
}
