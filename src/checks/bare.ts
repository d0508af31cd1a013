/** These fields and nothing inherited: hosts read descriptors through their prototype, and that may be polluted. */
export function bare<T extends object>(fields: T): T {
  return Object.assign(Object.create(null), fields);
}
