// Scrolls down the document a viewport at a time, so that lazy content is asked for, then back to the top.
async (maxHeight) => {
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const root = document.scrollingElement ?? document.documentElement;
  if (!root || root.scrollHeight <= innerHeight) return;
  for (let y = innerHeight; y < Math.min(root.scrollHeight, maxHeight); y += innerHeight) {
    window.scrollTo({ top: y, behavior: "instant" });
    await frame();
  }
  window.scrollTo({ top: 0, behavior: "instant" });
  await frame();
}
