//! Modules with very many of something, or as much of it as any engine takes.

use crate::animal::{Animal, DONE, Expect, INVALID, MODEST};
use crate::made::{Parts, command};

pub fn animals() -> Vec<Animal> {
    let bomb = |name: &str, make: fn() -> Vec<u8>| {
        Animal::made(&format!("bombs/count: {name}"), make, Expect::UnlessTooDear(DONE))
            .with(|limits| limits.fuel.0 = MODEST.fuel.0 << 10)
    };
    let refused = |name: &str, make: fn() -> Vec<u8>| {
        Animal::made(&format!("bombs/count: {name}"), make, Expect::Always(INVALID))
    };
    vec![
        bomb("100,000 functions", || many(Parts { functions: 100_000, ..Parts::default() })),
        refused("a function more than any engine takes", || many(Parts { functions: 1_000_000, ..Parts::default() })),
        bomb("100,000 types", || many(Parts { types: 100_000, ..Parts::default() })),
        bomb("100,000 imports", || many(Parts { imports: 100_000, ..Parts::default() })),
        bomb("100,000 globals", || many(Parts { globals: 100_000, ..Parts::default() })),
        bomb("100,000 exports", || many(Parts { exports: 100_000, ..Parts::default() })),
        bomb("a million types", || many(Parts { types: 999_000, ..Parts::default() })),
        bomb("a million globals", || many(Parts { globals: 999_999, ..Parts::default() })),
        bomb("a table of 130,000 elements, each named", || many(Parts { elements: 130_000, ..Parts::default() })),
        bomb("4 MB of data", || many(Parts { pages: 64, data: 4 << 20, ..Parts::default() })),
        bomb("8 MB of rubbish in a custom section", || many(Parts { custom: 8 << 20, ..Parts::default() })),
        bomb("1,000 functions with br_tables of 1,000 targets", || {
            many(Parts { functions: 1000, br_table: 1000, ..Parts::default() })
        }),
        bomb("100 calls of each of 1,000 functions", || {
            command(Parts { functions: 1000, ..Parts::default() }, &[], |code| {
                (0..100_000_u32).for_each(|number| {
                    code.call(1 + number % 1000);
                });
            })
        }),
    ]
}

fn many(parts: Parts) -> Vec<u8> {
    command(parts, &[], |_| ())
}
