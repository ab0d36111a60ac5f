/** The metrics of each iteration, in columns as a chart wants them. Pure. */

export class Metrics {
  iterations: number[] = [];
  /** By name; null where an iteration did not say. */
  columns = new Map<string, (number | null)[]>();

  /** A resumed attempt repeats iterations after its checkpoint: what it says replaces them. */
  add(iteration: number, values: Readonly<Record<string, number>>): void {
    while ((this.iterations.at(-1) ?? -Infinity) >= iteration) {
      this.iterations.pop();
      for (const column of this.columns.values()) column.pop();
    }
    for (const name of Object.keys(values)) {
      if (!this.columns.has(name))
        this.columns.set(name, new Array(this.iterations.length).fill(null));
    }
    this.iterations.push(iteration);
    for (const [name, column] of this.columns) column.push(values[name] ?? null);
  }

  /** Put in front what came before; of iterations that were repeated the later ones stay. */
  prepend(older: Metrics): void {
    const first = this.iterations[0] ?? Infinity;
    const count = older.iterations.filter((iteration) => iteration < first).length;
    const all = this.iterations.length;
    const columns = new Map<string, (number | null)[]>();
    for (const name of new Set([...older.names, ...this.names])) {
      const before = older.columns.get(name)?.slice(0, count) ?? new Array(count).fill(null);
      columns.set(name, before.concat(this.columns.get(name) ?? new Array(all).fill(null)));
    }
    this.iterations = older.iterations.slice(0, count).concat(this.iterations);
    this.columns = columns;
  }

  get names(): string[] {
    return [...this.columns.keys()];
  }

  /** The newest value; null when no iteration gave one. */
  newest(name: string): number | null {
    return this.columns.get(name)?.findLast((value) => value !== null) ?? null;
  }
}
