// Tells what scripts change from now on. Begun, it gives whether there is anything in the document that may change it by
// itself (`isDriven`: there is, and it is not to be seen); called again, whether anything was changed that may be seen.
// What scripts put in without a look of its own (scripts, styles of the head) shows in other ways.
(isBegin, isDriven) => {
  const UNSEEN = new Set(["SCRIPT", "NOSCRIPT", "META", "LINK", "TEMPLATE", "TITLE"]);
  const isSeen = (node) => node.nodeType === Node.TEXT_NODE || (node.nodeType === Node.ELEMENT_NODE && !UNSEEN.has(node.nodeName));
  const shows = ({ type, target, addedNodes, removedNodes }) =>
    type === "childList" ? [...addedNodes, ...removedNodes].some(isSeen) : isSeen(target) && !document.head?.contains(target);
  // What runs, goes elsewhere, or is a document of its own.
  const ACTIVE =
    "script, iframe, frame, object, embed, meta[http-equiv=refresh i], [onload], [onerror], [onpageshow], [onfocus]," +
    "[onblur], [onscroll], [onresize], [ontoggle], [onanimationstart], [onanimationend], [ontransitionend]";
  if (isBegin) {
    if (!isDriven && !document.querySelector(ACTIVE)) return false;
    const seen = (globalThis.changes = { any: false });
    seen.take = (records) => (seen.any ||= records.some(shows));
    seen.observer = new MutationObserver(seen.take);
    seen.observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
    return true;
  }
  const seen = globalThis.changes;
  if (!seen) return true; // another document
  seen.take(seen.observer.takeRecords());
  seen.observer.disconnect();
  return seen.any;
}
