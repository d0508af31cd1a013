import theme from "vitepress/theme";
// After the theme, whose rules it changes.
import "katex/dist/katex.min.css";
import "./style.css";

export default theme;
