importScripts("facts.js"); fetch("/hit/service"); onmessage = (event) => event.source.postMessage(facts());
