import "katex/dist/katex.min.css";
import "./style.css";

export { default } from "vitepress/theme";
