// Keeps the function of despia-native, whose classic build puts it where its commands go.
window.despiaNative = window.despia;
