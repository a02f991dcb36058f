document.title = "script ran";
