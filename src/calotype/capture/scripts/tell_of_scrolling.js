// For handlers that look for what has come near only when they are told of scrolling.
async (pauseMs) => {
  if (!pauseMs) return;
  document.dispatchEvent(new Event("scroll", { bubbles: true }));
  for (const scroller of globalThis.calotypeScrollers ?? []) scroller.dispatchEvent(new Event("scroll"));
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
}
