// The first match's border box in document coordinates, brought into view first so that lazy content loads; null
// without a match.
(selector) => {
  const element = document.querySelector(selector);
  if (!element) return null;
  element.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
  const box = element.getBoundingClientRect();
  // From right to left, scrolling begins at the document's right edge; pictures count from the left one.
  const { scrollWidth, clientWidth } = document.documentElement;
  const start = getComputedStyle(document.body ?? document.documentElement).direction === "rtl" ? clientWidth - scrollWidth : 0;
  return { x: box.x + scrollX - start, y: box.y + scrollY, width: box.width, height: box.height };
}
