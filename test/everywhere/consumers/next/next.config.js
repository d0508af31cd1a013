module.exports = { output: "export", distDir: "dist" };
