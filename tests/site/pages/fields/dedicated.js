importScripts("facts.js"); fetch("/hit/dedicated"); postMessage(facts());
