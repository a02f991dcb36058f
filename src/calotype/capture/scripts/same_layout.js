// Whether the layout is the same in a viewport of another height: called before the change to remember it, and after.
// Fixed elements may keep to the viewport's bottom; then they are where the page ends.
(isBefore) => {
  const MOST_ELEMENTS = 4000;
  const isSame = (one, other) => Math.abs(one - other) <= 1;
  const seen = () => {
    const found = { height: innerHeight, flow: [], fixed: [], hasFixedBackground: false };
    if (!document.body) return found;
    const accept = (element) => {
      const style = getComputedStyle(element);
      if (style.display === "none" || style.position === "sticky") return NodeFilter.FILTER_REJECT;
      if (style.backgroundAttachment.includes("fixed") && style.backgroundImage !== "none")
        found.hasFixedBackground = true;
      const { top, height } = element.getBoundingClientRect();
      if (style.position === "fixed") {
        found.fixed.push({ element, top, height });
        return NodeFilter.FILTER_REJECT;
      }
      found.flow.push({ element, top: top + scrollY, height });
      return NodeFilter.FILTER_ACCEPT;
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT, accept);
    for (let count = 0; count < MOST_ELEMENTS && walker.nextNode(); count += 1);
    return found;
  };

  if (isBefore) {
    globalThis.calotypeLayout = seen();
    return !globalThis.calotypeLayout.hasFixedBackground;
  }
  const before = globalThis.calotypeLayout;
  if (!before) return false;
  const height = innerHeight;
  const fits = ({ element, top: topBefore, height: heightBefore }) => {
    const { top, height: heightAfter } = element.getBoundingClientRect();
    if (isSame(heightBefore, before.height) && isSame(heightAfter, height)) return !element.textContent.trim() && !element.children.length;
    return (
      isSame(heightBefore, heightAfter) &&
      (isSame(top, topBefore) || isSame(height - top - heightAfter, before.height - topBefore - heightBefore))
    );
  };
  const stays = ({ element, top: topBefore, height: heightBefore }) => {
    const { top, height: heightAfter } = element.getBoundingClientRect();
    // One that has gone was made for what the reader saw: there are others now.
    return !element.isConnected || (isSame(top + scrollY, topBefore) && isSame(heightAfter, heightBefore));
  };
  return before.flow.every(stays) && before.fixed.every(fits);
}
