// Scrolls to "top", "bottom" or a number of pixels from the top, a viewport at a time so that lazy content on the way is
// seen, in the document or, where that does not scroll, in what scrolls in the middle of the viewport.
async (to) => {
  const STEPS_MAX = 500;
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const root = document.scrollingElement ?? document.documentElement;
  if (!root) return;
  const scrolls = (element) =>
    element.scrollHeight > element.clientHeight + 1 && /auto|scroll|overlay/.test(getComputedStyle(element).overflowY);
  let scroller = root;
  if (root.scrollHeight <= innerHeight + 1) {
    let element = document.elementFromPoint(innerWidth / 2, innerHeight / 2);
    while (element && !scrolls(element)) element = element.parentElement ?? element.getRootNode().host;
    scroller = element ?? root;
  }
  const height = scroller === root ? innerHeight : scroller.clientHeight;
  const end = () => Math.max(0, Math.min(to === "bottom" ? Infinity : to === "top" ? 0 : to, scroller.scrollHeight - height));
  for (let step = 0; step < STEPS_MAX && Math.abs(end() - scroller.scrollTop) >= 1; step++) {
    const before = scroller.scrollTop;
    const way = Math.max(-height, Math.min(height, end() - before));
    scroller.scrollTo({ top: before + way, behavior: "instant" });
    await frame();
    if (scroller.scrollTop === before) break;
  }
  await frame();
};
