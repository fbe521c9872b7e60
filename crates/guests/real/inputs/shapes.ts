// Types to strip, and syntax that ES2017 has not.
interface Shape { readonly kind: string; area(): number }
enum Unit { Metre = 1, Foot = 0.3048 }
abstract class Base implements Shape {
  static #made = 0;
  declare label?: string;
  constructor(public readonly kind: string, protected unit: Unit = Unit.Metre) { Base.#made++; }
  abstract area(): number;
  static get made(): number { return Base.#made; }
}
class Circle extends Base {
  constructor(private radius: number) { super("circle"); }
  area(): number { return Math.PI * (this.radius * this.unit) ** 2; }
}
const sum = <T extends Shape>(shapes: readonly T[]): number => shapes.reduce((total, { area }, at) => total + (shapes[at]?.area() ?? area()), 0);
export async function* stream<T>(items: AsyncIterable<T> | T[]): AsyncGenerator<T> {
  for await (const item of items) yield item;
}
export default { total: sum([new Circle(2), new Circle(3)]), made: Base.made, big: 10n ** 20n, text: `${Unit.Foot satisfies number}` } as const;
