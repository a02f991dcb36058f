// What `meta` says of the page, which has the lengths of both in its hands.
() => ({ title: document.title.slice(0, 65536), url: location.href.slice(0, 65536) })
