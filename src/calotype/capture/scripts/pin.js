// Puts what keeps to the viewport's bottom where a reader meets it last, at the end of the page, and what sticks to the
// bottom where it is in the text; a fixed background of a screen goes behind all of the page.
(pageHeight) => {
  const end = Math.min(document.documentElement.scrollHeight, pageHeight) - innerHeight;
  if (end <= 0 || !document.body) return;
  const set = (element, name, value) => element.style.setProperty(name, value, "important");
  for (const element of document.body.querySelectorAll("*")) {
    const { position, bottom } = getComputedStyle(element);
    if (position === "sticky" && bottom !== "auto") {
      set(element, "position", "relative");
      set(element, "inset", "auto");
    }
    if (position !== "fixed") continue;
    const box = element.getBoundingClientRect();
    if (box.bottom <= 0 || box.top >= innerHeight || !box.width || !box.height) continue;
    set(element, "transition", "none");
    if (box.height >= innerHeight) {
      if (!element.children.length && !element.textContent.trim()) set(element, "height", `${end + innerHeight}px`);
    } else if (innerHeight - box.bottom < box.top) {
      set(element, "translate", `0 ${end}px`);
    }
  }
}
