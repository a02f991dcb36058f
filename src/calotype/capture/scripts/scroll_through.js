// Scrolls down the document a viewport at a time, so that lazy content is asked for, then back to the top.
// From `fromY` to `maxHeight` at most, and for `limitMs` at most; `pauseMs` is for handlers that are called a while after.
async (fromY, maxHeight, pauseMs, limitMs) => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const pause = () => new Promise((resolve) => setTimeout(resolve, pauseMs));
  const root = document.scrollingElement ?? document.documentElement;
  if (!root || root.scrollHeight <= innerHeight) return;
  const end = performance.now() + limitMs;
  for (let y = Math.max(innerHeight, fromY); y < Math.min(root.scrollHeight, maxHeight) && performance.now() < end; y += innerHeight) {
    window.scrollTo({ top: y, behavior: "instant" });
    await frame();
    if (pauseMs) await pause();
  }
  window.scrollTo({ top: 0, behavior: "instant" });
  await frame();
}
