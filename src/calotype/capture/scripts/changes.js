// Tells what scripts change from now on: gives nothing when begun, and when called again whether anything was changed
// that may be seen. What they put in without a look of its own (scripts, styles of the head) shows in other ways.
(isBegin) => {
  const UNSEEN = new Set(["SCRIPT", "NOSCRIPT", "META", "LINK", "TEMPLATE", "TITLE"]);
  const isSeen = (node) => node.nodeType === Node.TEXT_NODE || (node.nodeType === Node.ELEMENT_NODE && !UNSEEN.has(node.nodeName));
  const shows = ({ type, target, addedNodes, removedNodes }) =>
    type === "childList" ? [...addedNodes, ...removedNodes].some(isSeen) : isSeen(target) && !document.head?.contains(target);
  if (isBegin) {
    const seen = (globalThis.changes = { any: false });
    seen.take = (records) => (seen.any ||= records.some(shows));
    seen.observer = new MutationObserver(seen.take);
    seen.observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    return;
  }
  const seen = globalThis.changes;
  if (!seen) return true; // another document
  seen.take(seen.observer.takeRecords());
  seen.observer.disconnect();
  return seen.any;
}
