// What `meta` says of the page.
() => ({ title: document.title, url: location.href })
