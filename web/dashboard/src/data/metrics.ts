/** The metrics of each iteration, in columns as a chart wants them. Pure. */

export class Metrics {
  readonly iterations: number[] = [];
  /** By name; null where an iteration did not say. */
  readonly columns = new Map<string, (number | null)[]>();

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

  get names(): string[] {
    return [...this.columns.keys()];
  }

  /** The newest value; null when no iteration gave one. */
  newest(name: string): number | null {
    return this.columns.get(name)?.findLast((value) => value !== null) ?? null;
  }
}
