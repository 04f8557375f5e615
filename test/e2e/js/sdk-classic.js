// Runs as a classic script right after tikbridge.global.js: what that defines must be there at once.
window.definedAtOnce = Object.keys(window.tikbridge).sort().join(' ');
