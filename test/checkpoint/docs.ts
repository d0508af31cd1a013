import { recipe as recipeOf } from "../support/markdown.js";

/** The code that docs/checkpoints.md shows after `<!-- tested: name -->`. */
export function recipe(name: string): string {
  return recipeOf("docs/checkpoints.md", name);
}
